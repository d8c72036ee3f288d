"""A script that is run in the background by a supervisor of its own.

The script is identified by its path and its task's name. Its folder below the state folder holds an ``sppm.yaml``
that is written anew at each start. The supervisor runs the same script with the same arguments again; what tells that
run that it is to work, and not to start anything, is the variable ``SPPM_SCRIPT``.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from typing import Dict, List, Optional

from . import _environment, _legacy

MARK = "SPPM_SCRIPT"

NO_LIMIT = "3650d"
"""So long it may take after TERM to finish the task in hand: as long as it needs. ``--shutdown`` does not wait."""

KEPT_VARIABLES = ("LD_LIBRARY_PATH",)
"""Variables that a supervisor does not hand on by itself, and that an interpreter may need."""


class Script:
    """Where things are for one script and one task."""

    def __init__(self, name: Optional[str] = None) -> None:
        self.path = _main_path()
        self.name = _program_name(name or os.path.splitext(os.path.basename(self.path))[0])
        self.settings = _legacy.load(self.path)
        identity = "\0".join([self.path, self.name, self.settings.file or ""])
        digest = hashlib.sha256(os.fsencode(identity)).hexdigest()[:16]
        self.folder = os.path.join(_state_folder(), "sppm", "scripts", digest)
        self.config = os.path.join(self.folder, "sppm.yaml")

    @property
    def log(self) -> str:
        """The file with the program's output."""
        return self.settings.log or os.path.join(self.folder, "log", self.name + ".log")

    def known(self) -> bool:
        """Whether it was ever started."""
        return os.path.exists(self.config)

    def write_config(self, binary: str, foreground: bool = False) -> None:
        """Writes the ``sppm.yaml``, for a start here and now."""
        text = "# Written by the Python module `sppm` at each start of the script: edits are lost. JSON is YAML.\n"
        text += json.dumps(self._config(binary, foreground), ensure_ascii=False, indent=2) + "\n"
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        beside = "%s.%d.tmp" % (self.config, os.getpid())
        with open(beside, "w", encoding="utf-8") as file:
            os.chmod(beside, 0o600)
            file.write(text)
        os.replace(beside, self.config)

    def _config(self, binary: str, foreground: bool) -> Dict[str, object]:
        limit = "%ds" % self.settings.timeout if self.settings.timeout else NO_LIMIT
        environment = {MARK: self.config, "SPPM_BIN": binary}
        environment.update({name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ})
        # A stop is TERM at once, which the program remembers until the end of its task: no KILL comes before it is idle.
        # `stop.timeout` is for tasks that are not marked (`lock()` without an argument): it begins when it is idle.
        gate: Dict[str, object] = {"kind": "auto", "on_stop": "signal"}
        if self.settings.timeout:
            gate.update(max_busy=limit, then="kill")
        program: Dict[str, object] = {
            "command": [_literal(word) for word in _command_line(self.path)],
            "directory": _literal(os.getcwd()),
            "environment": {name: _literal(value) for name, value in environment.items()},
            "restart": "on-failure",
            "stop": {"timeout": limit},
            "working_lock": gate,
            "logs": {"stdout": "inherit" if foreground else _literal(self.log)},
        }
        supervisor = {
            "name": self.name,
            "log_dir": _literal(os.path.join(self.folder, "log")),
            "shutdown_timeout": NO_LIMIT,
        }
        return {"supervisor": supervisor, "programs": {self.name: program}}


def take_mark() -> Optional[str]:
    """In the run that is to work: the path of its configuration. Not told on to what the program starts itself."""
    if not _environment.is_main():
        return None
    return os.environ.pop(MARK, None) or None


def _main_path() -> str:
    main = sys.modules.get("__main__")
    path = getattr(main, "__file__", None) or sys.argv[0]
    if not path:
        raise RuntimeError("only a script, a file, can be run in the background")
    return os.path.abspath(path)


def _command_line(path: str) -> List[str]:
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    if spec is None:
        return [sys.executable, "-u", path, *sys.argv[1:]]
    name = spec.name[: -len(".__main__")] if spec.name.endswith(".__main__") else spec.name
    return [sys.executable, "-u", "-m", name, *sys.argv[1:]]  # it was started so


def _state_folder() -> str:
    given = _environment.variable("XDG_STATE_HOME")
    if given is not None and os.path.isabs(given):
        return given
    return os.path.join(os.path.expanduser("~"), ".local", "state")


def _program_name(text: str) -> str:
    """A name that a program can have."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("._-")[:63]
    return "script-" + name if name in ("", "all") else name


def _literal(text: str) -> str:
    """A text that the configuration takes as it is."""
    return text.replace("$", "$$")
