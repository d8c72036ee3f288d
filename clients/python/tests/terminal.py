"""A terminal with somebody at it."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
import termios
import threading
from typing import Dict, List

from .rig import LIMIT


class Terminal:
    """A command in the foreground of a terminal of its own."""

    def __init__(self, command: List[str], environment: Dict[str, str], folder: str) -> None:
        self._master, slave = os.openpty()

        def sit_down() -> None:
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

        # Nothing but system calls happens between fork and exec.
        self.process = subprocess.Popen(
            command, env=environment, cwd=folder, stdin=slave, stdout=slave, stderr=slave, preexec_fn=sit_down
        )
        os.close(slave)
        self._hung_up = False
        self._text = b""
        self._changed = threading.Condition()
        self._wake, self._waker = os.pipe()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        while True:
            ready, _, _ = select.select([self._master, self._wake], [], [])
            try:
                data = b"" if self._wake in ready else os.read(self._master, 4096)
            except OSError:  # nobody has it open any more
                data = b""
            with self._changed:
                self._text += data
                self._changed.notify_all()
            if not data:
                return

    def says(self, text: str) -> None:
        """Waits for it."""
        with self._changed:
            if not self._changed.wait_for(lambda: text.encode() in self._text, LIMIT):
                raise AssertionError("the terminal does not show %r: %r" % (text, self._text))

    def lines(self) -> List[str]:
        with self._changed:
            return self._text.decode().splitlines()

    def press_control_c(self) -> None:
        os.write(self._master, b"\x03")

    def end(self) -> int:
        """The exit code of the command."""
        return self.process.wait(LIMIT)

    def hang_up(self) -> None:
        """The window is closed: the kernel sends HUP to whoever sits there."""
        if self._hung_up:
            return
        self._hung_up = True
        os.write(self._waker, b"x")
        self._reader.join()
        for fd in (self._master, self._wake, self._waker):
            os.close(fd)

    def close(self) -> None:
        self.hang_up()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
