"""Starting, stopping and asking after a script in the background."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any, Dict, Optional

from . import _command, _skip
from ._script import Script

NOT_DONE = 1
"""Exit code: it runs already, or it does not run."""

ENDED = ("stopped", "completed", "failed")


class Control:
    """What the options of a script do. Each method gives an exit code, and says on standard error what hindered it."""

    def __init__(self, script: Script) -> None:
        self.script = script

    def start(self, foreground: bool = False, follow: bool = False) -> int:
        """Starts it, if it does not run. In the foreground this process becomes the supervisor."""
        binary = _command.find()
        supervisor = self._status()
        if supervisor is not None:
            if self._runs(supervisor):
                return self._complain("runs already%s" % self._pid(supervisor))
            code = _command.run(self.script.config, "shutdown")  # nothing runs below it, or not for long
            if code not in (0, _command.NO_SUPERVISOR):
                return code
        seen = _count_lines(self.script.log) if follow else 0
        self.script.write_config(binary, foreground)
        if foreground:
            sys.stdout.flush()
            sys.stderr.flush()
            os.execv(binary, [binary, "-c", self.script.config, "run"])
        code = _command.run(self.script.config, "start", self.script.name)
        if follow:
            self._follow(binary, seen)
        return code

    def stop(self, force: bool = False) -> int:
        """Ends it and its supervisor: after the task in hand, or at once. The next start finds no trace of it."""
        if self._status() is None:
            return self._complain("does not run")
        return self._run("shutdown", *(["--force"] if force else []))

    def restart(self, foreground: bool = False, follow: bool = False) -> int:
        """After the task in hand it is started again, as it was started; starts it if it does not run."""
        supervisor = self._status()
        if supervisor is None or not self._runs(supervisor) or foreground:
            if supervisor is not None and foreground:
                code = self._run("shutdown")
                if code != 0:
                    return code
            return self.start(foreground, follow)
        seen = _count_lines(self.script.log) if follow else 0
        code = self._run("restart", self.script.name)
        if follow:
            self._follow(_command.find(), seen)
        return code

    def status(self) -> int:
        """Shows how it is."""
        if self._status() is None:
            return self._complain("does not run")
        return self._run("status", self.script.name)

    def _run(self, *arguments: str) -> int:
        code = _command.run(self.script.config, *arguments)
        # It ended in the moment between the question and the request.
        return 0 if code == _command.NO_SUPERVISOR and arguments[0] == "shutdown" else code

    def _status(self) -> Optional[Dict[str, Any]]:
        _command.find()
        return _command.ask(self.script.config, "status") if self.script.known() else None

    def _runs(self, status: Dict[str, Any]) -> bool:
        if status.get("supervisor", {}).get("shutting_down"):
            return False
        phases = [program.get("phase") for program in self._programs(status)]
        return any(phase not in ENDED for phase in phases)

    def _pid(self, status: Dict[str, Any]) -> str:
        for program in self._programs(status):
            for instance in program.get("instances", []):
                if instance.get("pid"):
                    return " (pid %d)" % instance["pid"]
        return ""

    def _programs(self, status: Dict[str, Any]) -> "list[Dict[str, Any]]":
        return [program for program in status.get("programs", []) if program.get("name") == self.script.name]

    def _complain(self, what: str) -> int:
        sys.stderr.write("%s %s\n" % (self.script.name, what))
        return NOT_DONE

    def _follow(self, binary: str, seen: int) -> None:
        """Leaves a reader behind that shows on this output what the program prints, without what is older."""
        command = [binary, "-c", self.script.config, "logs", "-f", "-n", "all", self.script.name]
        reader = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True)
        skip = [sys.executable, "-E", "-S", os.path.abspath(_skip.__file__), str(seen)]
        subprocess.Popen(skip, stdin=reader.stdout, start_new_session=True)
        if reader.stdout is not None:
            reader.stdout.close()


def _count_lines(log: str) -> int:
    """How many lines a log has, with its rotated files."""
    folder, name = os.path.split(log)
    count = 0
    try:
        names = os.listdir(folder)
    except OSError:
        return 0
    for found in names:
        if found == name or (found.startswith(name + ".") and found[len(name) + 1 :].isdigit()):
            with open(os.path.join(folder, found), "rb") as file:
                count += sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))
    return count


def end_own_supervisor(config: str) -> None:
    """From within the program, when it has ended by itself: its supervisor has nothing left to do."""
    try:
        _command.quietly(config, "shutdown", "--no-wait")
    except (OSError, _command.CommandMissing):
        pass  # it stays, with a program that has stopped
