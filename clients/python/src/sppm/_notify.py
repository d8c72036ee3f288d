"""One-way messages to the supervisor: lines into the FIFO ``SPPM_NOTIFY``.

Each function says whether the line was handed over. Without a supervisor it was not, and that is no error.
"""

from __future__ import annotations

import os
import select
import time

from . import _environment

LONGEST = 4096
"""Of a line with its newline: what the kernel writes in one piece."""

PATIENCE = 5.0
"""Seconds that a line that matters waits for room in a full FIFO."""


def send(word: str, text: str = "", patience: float = 0.0) -> bool:
    """Writes ``word text`` as one line."""
    line = _line(word, text)
    path = _environment.variable("SPPM_NOTIFY")
    if path is None:
        return False
    deadline = time.monotonic() + patience
    try:
        # Opened anew each time: a descriptor that is kept may become another file where a program closes all it has.
        fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return _write(fd, line, deadline)
    except OSError:
        return False
    finally:
        os.close(fd)


def _write(fd: int, line: bytes, deadline: float) -> bool:
    while True:
        try:
            return os.write(fd, line) == len(line)
        except BlockingIOError:
            left = deadline - time.monotonic()
            poll = select.poll()
            poll.register(fd, select.POLLOUT)
            if left <= 0 or not poll.poll(left * 1000):
                return False


def _line(word: str, text: str) -> bytes:
    """One line without control characters, cut to what fits, between two characters."""
    words = " ".join([word] + text.split())
    return words.encode("utf-8", "replace")[: LONGEST - 1].decode("utf-8", "ignore").encode() + b"\n"


def ready() -> bool:
    """This program can do its job now. Others that wait for it are started (``ready: notify``)."""
    return send("ready", patience=PATIENCE)


def beat() -> bool:
    """This program is not stuck (``watchdog``)."""
    return send("beat")


def request() -> bool:
    """One more request is done: they are counted for ``recycle.max_requests``."""
    return send("request", patience=PATIENCE)


def status(text: str) -> bool:
    """What this program is doing, in a few words, shown by ``sppm status``."""
    return send("status", text)


def request_restart(why: str = "") -> bool:
    """Asks the supervisor to restart this program, when no task is open any more."""
    return send("restart-me", why, patience=PATIENCE)


def request_stop(why: str = "") -> bool:
    """Asks the supervisor to stop this program, when no task is open any more."""
    return send("stop-me", why, patience=PATIENCE)
