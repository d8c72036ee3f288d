"""What the tests share: a folder and environment of their own, and programs that run as processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import unittest
from typing import Any, Callable, Dict, List, Optional

import sppm

from .fake_socket import RUN, FakeSocket

SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(sppm.__file__)))
LIMIT = 30.0


def until(condition: Callable[[], Any], what: str) -> Any:
    """Waits for something outside this process, which has no event for it."""
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError("not within %g s: %s" % (LIMIT, what))


def whole_lines(text: str) -> List[str]:
    """What was written so far, without a last line that is not complete: `print` may write one piece by piece."""
    return text.split("\n")[:-1]


class Running:
    """A command that runs beside the test, in a session of its own. Its output is read line by line."""

    def __init__(self, command: List[str], environment: Dict[str, str], **options: Any) -> None:
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, **options
        )
        self.lines: List[str] = []
        self.errors = b""
        self._changed = threading.Condition()
        self._readers = [threading.Thread(target=self._read), threading.Thread(target=self._read_errors)]
        for reader in self._readers:
            reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line.decode().rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        self.errors = self.process.stderr.read()

    def says(self, line: str, times: int = 1) -> None:
        with self._changed:
            if not self._changed.wait_for(lambda: self.lines.count(line) >= times, LIMIT):
                raise AssertionError("it does not say %r: %r %r" % (line, self.lines, self.errors))

    def send(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        """Its exit code."""
        code = self.process.wait(LIMIT)
        self.close()
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for reader in self._readers:
            reader.join()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


class Program(Running):
    """A Python text that runs as an instance does."""

    def __init__(self, text: str, environment: Dict[str, str], **options: Any) -> None:
        command = [sys.executable, "-u", "-c", "import sppm, sys, os, signal, time\n" + textwrap.dedent(text)]
        super().__init__(command, environment, **options)


class RigCase(unittest.TestCase):
    """A test with an instance's folder: lock file, FIFO, and, where asked for, the socket."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="sppm-", dir="/tmp")  # short: a socket's path has 107 bytes
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.lock = os.path.join(self.folder, "lock")
        self.fifo = os.path.join(self.folder, "notify")
        open(self.lock, "wb").close()
        os.mkfifo(self.fifo)
        self.fifo_fd = os.open(self.fifo, os.O_RDWR | os.O_NONBLOCK)
        self.addCleanup(os.close, self.fifo_fd)
        self.unread = b""
        self.server: Optional[FakeSocket] = None

    def serve(self) -> FakeSocket:
        self.server = FakeSocket(self.folder)
        self.addCleanup(self.server.stop)
        return self.server

    def alone(self) -> Dict[str, str]:
        """An environment without a supervisor."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith("SPPM_")}
        return dict(clean, PYTHONPATH=SOURCE, PYTHONDONTWRITEBYTECODE="1", XDG_STATE_HOME=self.folder)

    def environment(self, **more: str) -> Dict[str, str]:
        """The environment of an instance."""
        given = {"SPPM_NAME": "prog", "SPPM_INSTANCE": "prog", "SPPM_INDEX": "1", "SPPM_RUN": RUN}
        given.update(SPPM_LOCK=self.lock, SPPM_NOTIFY=self.fifo)
        given.update(more)
        if self.server is not None:
            given["SPPM_SOCKET"] = self.server.path
        return dict(self.alone(), **given)

    def program(self, text: str, **more: str) -> Program:
        return self.run_in(self.environment(**more), text)

    def run_in(self, environment: Dict[str, str], text: str, **options: Any) -> Program:
        program = Program(text, environment, **options)
        self.addCleanup(program.close)
        return program

    def fifo_lines(self) -> List[str]:
        """The lines that have come since the last call."""
        try:
            while True:
                self.unread += os.read(self.fifo_fd, 65536)
        except BlockingIOError:
            pass
        *whole, self.unread = self.unread.split(b"\n")
        return [line.decode() for line in whole]

    def state(self) -> List[str]:
        with open(self.lock, encoding="ascii") as file:
            return file.read().splitlines()

    def is_busy(self) -> bool:
        return self.state()[2:] == ["1"]
