"""A class that becomes a program in the background."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Callable, Dict, NoReturn, Optional, Sequence

from . import _command, _environment, _script, _signals
from ._control import Control, end_own_supervisor


class Daemon:
    """Subclass it, override ``run``; then ``start``, ``stop``, ``restart``, ``status``, or ``main()`` for all four.

    It is run by ``sppm``, found on PATH or by ``$SPPM_BIN``: ``start`` has it run the script again, and in that run
    ``start`` calls ``run``. It outlives the terminal. When ``run`` raises it is started again after a pause; when it
    returns, that is the end. Mark tasks with ``with sppm.task():``: a stop and a restart wait for the end of the task
    in hand, and no new one begins.
    """

    #: Where the process id is written while it runs. For other tools: a file that was left behind does no harm.
    pidfile: Optional[str] = None
    #: What messages and ``sppm status`` call it; else the script's name.
    name: Optional[str] = None

    def __init__(self, pidfile: Optional[str] = None, name: Optional[str] = None) -> None:
        if pidfile is not None:
            self.pidfile = pidfile
        if name is not None:
            self.name = name

    def run(self) -> None:
        """What it does, all its life."""
        raise NotImplementedError("%s does not override run" % type(self).__name__)

    def start(self) -> int:
        """Starts it; 0, or the exit code of what went wrong (1: it runs already)."""
        if self._works_here():
            return 0
        return self._control(Control.start)

    def stop(self) -> int:
        """Stops it after the task in hand; 1: it does not run."""
        return self._control(Control.stop)

    def restart(self) -> int:
        """Stops it after the task in hand and starts it again; starts it if it does not run."""
        if self._works_here():
            return 0
        return self._control(Control.restart)

    def status(self) -> int:
        """Shows how it is; 1: it does not run."""
        return self._control(Control.status)

    def main(self, argv: Optional[Sequence[str]] = None) -> NoReturn:
        """The command line of a script: ``script start | stop | restart | status``."""
        actions: Dict[str, Callable[[], int]] = {
            "start": self.start,
            "stop": self.stop,
            "restart": self.restart,
            "status": self.status,
        }
        parser = argparse.ArgumentParser(description=type(self).__doc__ if type(self) is not Daemon else None)
        parser.add_argument("action", choices=list(actions))
        sys.exit(actions[parser.parse_args(argv).action]())

    def _control(self, action: Callable[[Control], int]) -> int:
        try:
            return action(Control(_script.Script(self.name)))
        except (_command.CommandMissing, _command.CommandFailed) as error:
            sys.stderr.write("error: %s\n" % error)
            return error.exit_code

    def _works_here(self) -> bool:
        """In the process that the supervisor launched: the work itself."""
        mark = _script.take_mark()
        if mark is None and not (_environment.supervised() and _environment.is_main()):
            return False
        _signals.install()
        pidfile = self.pidfile or (mark and os.path.join(os.path.dirname(mark), "daemon.pid"))
        if pidfile:
            _write_pid(pidfile)
        try:
            self.run()
        finally:
            if pidfile:
                _remove_pid(pidfile)
        if mark is not None and _signals.caught() is None:
            end_own_supervisor(mark)
        return True


def _write_pid(path: str) -> None:
    beside = "%s.%d.tmp" % (path, os.getpid())
    with open(beside, "w", encoding="ascii") as file:
        file.write("%d\n" % os.getpid())
    os.replace(beside, path)


def _remove_pid(path: str) -> None:
    """Removes it if it is still this process's."""
    try:
        with open(path, encoding="ascii") as file:
            if file.read().strip() == str(os.getpid()):
                os.unlink(path)
    except OSError:
        pass  # somebody else has removed it
