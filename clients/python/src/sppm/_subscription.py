"""Receiving what others publish."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from types import TracebackType
from typing import Callable, Deque, Iterator, Optional, Type

from . import _signals, _wire
from ._latch import Doorbell, wait_any
from ._wire import Message

KEPT = 10_000
"""Messages that wait for a slow reader; beyond it the oldest are dropped and counted."""

_log = logging.getLogger("sppm")


class Subscription(Iterator[Message]):
    """The messages of a topic, or of all topics that a pattern matches, in the order in which they came.

    Iterating waits for the next one; it ends when the subscription is closed, or when a signal has asked the program to
    end (where the program uses ``task``, ``signal_monitor`` and the like). Can be used in ``with``.
    """

    def __init__(self, pattern: str, close: "Callable[[Subscription], None]") -> None:
        self._bell = Doorbell()
        self.pattern = _wire.pattern(pattern)
        #: How many messages were lost because this reader, or this program as a whole, was too slow.
        self.missed = 0
        self._matches = _wire.matcher(pattern)
        self._close = close
        self._lock = threading.Lock()
        self._kept: Deque[Message] = deque()
        self._closed = False

    def get(self, timeout: Optional[float] = None) -> Optional[Message]:
        """The next message; None when there is none within ``timeout`` seconds, or when iterating would end."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while _signals.caught() is None:
            with self._lock:
                if self._kept:
                    return self._kept.popleft()
                if self._closed:
                    return None
                self._bell.quiet()
            left = None if deadline is None else deadline - time.monotonic()
            if not wait_any([self._bell, _signals.latch()], left):
                return None
        return None

    def __iter__(self) -> "Subscription":
        return self

    def __next__(self) -> Message:
        message = self.get()
        if message is None:
            raise StopIteration
        return message

    def close(self) -> None:
        """Ends it; what has come can still be read."""
        if self._shut():
            self._close(self)

    def __enter__(self) -> "Subscription":
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    def call(self, callback: Callable[[Message], object]) -> None:
        """Has a thread of its own call ``callback`` for each message. What it raises is logged, and ends nothing."""
        threading.Thread(target=self._call_all, args=(callback,), name="sppm-subscriber", daemon=True).start()

    def _call_all(self, callback: Callable[[Message], object]) -> None:
        for message in self:
            try:
                callback(message)
            except Exception:
                _log.exception("the subscriber of %s failed on a message of %s", self.pattern, message.topic)

    def _offer(self, message: Message) -> None:
        """A message has come on the connection."""
        if self._matches.match(message.topic) is None:
            return
        with self._lock:
            if self._closed:
                return
            if len(self._kept) >= KEPT:
                self._kept.popleft()
                self.missed += 1
            self._kept.append(message)
            self._bell.ring()

    def _miss(self, count: int) -> None:
        with self._lock:
            self.missed += count

    def _shut(self) -> bool:
        with self._lock:
            if self._closed:
                return False
            self._closed = True
            self._bell.ring()
            return True

    def _forked(self) -> None:
        """Ends it in a forked child, where another thread may have held the lock."""
        self._lock = threading.Lock()
        self._shut()

    def __del__(self) -> None:
        self._bell.close()
