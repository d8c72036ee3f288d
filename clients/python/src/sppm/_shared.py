"""The small store that all programs of a supervisor share, as a dictionary."""

from __future__ import annotations

import threading
from typing import Any, Callable, Dict, Iterator, KeysView, List, MutableMapping, NamedTuple, Optional, Tuple

from . import _default, _wire
from ._channel import Channel
from ._wire import ChannelError


class Versioned(NamedTuple):
    """A value and the number of its change: 1, 2, … for each key, never used twice."""

    version: int
    value: Any


class _Local:
    """The store of a program without a supervisor: its own memory, with the same answers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: Dict[str, Tuple[int, str]] = {}
        self._versions: Dict[str, int] = {}

    def get(self, key: str) -> Optional[Tuple[int, str]]:
        with self._lock:
            return self._values.get(key)

    def put(self, key: str, text: str, expected: Optional[int]) -> Optional[int]:
        with self._lock:
            now = self._values[key][0] if key in self._values else 0
            if expected is not None and expected != now:
                return None
            self._versions[key] = version = self._versions.get(key, 0) + 1
            self._values[key] = (version, text)
            return version

    def delete(self, key: str) -> bool:
        with self._lock:
            return self._values.pop(key, None) is not None

    def keys(self, prefix: str) -> List[str]:
        with self._lock:
            return sorted(key for key in self._values if key.startswith(prefix))


class Shared(MutableMapping[str, Any]):
    """A view of the store: ``shared["jobs/next"] = 7``. Values are what JSON can say.

    Every look asks the supervisor. The store lives in its memory and is small (1,024 keys, 1 MiB); it does not
    outlive a shutdown. A program without a supervisor has a store of its own. Refusals and a supervisor that cannot
    be reached raise ``ChannelError``.
    """

    def __init__(self, channel: Optional[Channel] = None) -> None:
        self._given = channel
        self._local = _Local()

    def _remote(self) -> Optional[Channel]:
        channel = self._given or _default.channel()
        return channel if channel.available else None

    def get_versioned(self, key: str) -> Optional[Versioned]:
        """The value with its version; None where there is none."""
        _wire.name(key)
        channel = self._remote()
        if channel is None:
            found = self._local.get(key)
            return None if found is None else Versioned(found[0], _wire.decode(found[1]))
        answer = channel.ask("get " + key)
        if answer == "none":
            return None
        version, _, text = _wire.operand(answer, "value").partition(" ")
        return Versioned(int(version), _wire.decode(text))

    def set(self, key: str, value: Any) -> int:
        """Sets it and gives its new version."""
        text = _wire.encode(value)
        _wire.name(key)
        channel = self._remote()
        if channel is None:
            return self._local.put(key, text, None) or 0
        return int(channel.request("set %s %s" % (key, text), "ok"))

    def compare_and_set(self, key: str, version: int, value: Any) -> Optional[int]:
        """Sets it where its version is still ``version`` (0: there is none); its new version, or None: it has changed.

        Where the connection breaks before the answer, ``Unavailable`` is raised: it may have been set or not.
        """
        text = _wire.encode(value)
        _wire.name(key)
        channel = self._remote()
        if channel is None:
            return self._local.put(key, text, version)
        try:
            return int(channel.request("cas %s %d %s" % (key, version, text), "ok", again=False))
        except ChannelError as error:
            if error.code == "changed":
                return None
            raise

    def change(self, key: str, function: Callable[[Any], Any], default: Any = None) -> Any:
        """Sets it to ``function(value)``, again as long as another was faster; gives what it set.

        ``function`` gets ``default`` where there is no value.
        """
        while True:
            found = self.get_versioned(key)
            value = function(default if found is None else found.value)
            if self.compare_and_set(key, 0 if found is None else found.version, value) is not None:
                return value

    def delete(self, key: str) -> bool:
        """Removes it; False: there was none."""
        _wire.name(key)
        channel = self._remote()
        if channel is None:
            return self._local.delete(key)
        answer = channel.ask("del " + key)
        if answer == "none":
            return False
        _wire.operand(answer, "ok")
        return True

    def keys(self, prefix: str = "") -> KeysView[str]:
        """The keys that begin with ``prefix``, sorted."""
        return dict.fromkeys(self._names(prefix)).keys()

    def _names(self, prefix: str = "") -> List[str]:
        if prefix:
            _wire.name(prefix)
        channel = self._remote()
        if channel is None:
            return self._local.keys(prefix)
        return channel.request(("keys " + prefix).rstrip(), "keys").split()

    def __getitem__(self, key: str) -> Any:
        found = self.get_versioned(key)
        if found is None:
            raise KeyError(key)
        return found.value

    def __setitem__(self, key: str, value: Any) -> None:
        self.set(key, value)

    def __delitem__(self, key: str) -> None:
        if not self.delete(key):
            raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())


shared = Shared()
"""The store, over the module's own channel."""
