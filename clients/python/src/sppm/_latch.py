"""Waking those who wait: pipes, because a signal handler may write to one and must not take a lock."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
import weakref
from typing import Iterable, Optional


class Doorbell:
    """Wakes one waiter. ``ring`` is safe in a signal handler and in any thread."""

    def __init__(self) -> None:
        self._open()

    def _open(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        _all.add(self)

    def fileno(self) -> int:
        """Readable from ``ring`` until ``quiet``."""
        return self._read

    def ring(self) -> None:
        """Makes ``fileno`` readable; twice is as good as once."""
        try:
            os.write(self._write, b"!")
        except BlockingIOError:
            pass  # full: it rings already

    def quiet(self) -> bytes:
        """Takes back every ring so far; gives what was written."""
        written = b""
        try:
            while True:
                written += os.read(self._read, 4096)
        except BlockingIOError:
            return written

    def renew(self) -> None:
        """A pipe of its own for a forked child, which must not answer the bell of its parent."""
        self.close()
        self._open()

    def close(self) -> None:
        """Gives the descriptors back."""
        _all.discard(self)
        os.close(self._read)
        os.close(self._write)


class Latch(Doorbell):
    """A doorbell that is rung once and never goes quiet: all waiters see it, also those that come later."""

    def __init__(self) -> None:
        self._set = False
        super().__init__()

    @property
    def is_set(self) -> bool:
        """Whether it was set."""
        return self._set

    def set(self) -> None:
        """Sets it, for good."""
        self._set = True
        self.ring()

    def renew(self) -> None:
        super().renew()
        if self._set:
            self.ring()


# Those that are open.
_all: "weakref.WeakSet[Doorbell]" = weakref.WeakSet()


def wait_any(bells: Iterable[Doorbell], timeout: Optional[float] = None) -> bool:
    """Waits until one of them rings; False when ``timeout`` seconds have passed without.

    A signal whose handler rings one of them is never slept through, also when it comes right before the wait.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    poll = select.poll()
    for bell in bells:
        poll.register(bell.fileno(), select.POLLIN)
    with _AnySignal() as any_signal:
        poll.register(any_signal.fileno(), select.POLLIN)
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
            ringing = {fd for fd, _ in poll.poll(left)}
            if not ringing:
                return False
            if ringing != {any_signal.fileno()}:
                return True
            any_signal.quiet()  # the signal's handler has run by now


class _AnySignal(Doorbell):
    """A bell that every signal rings, at once: Python calls handlers later, and not before a wait that just begins.

    Only the main thread needs it: it is the one that calls them. An event loop that has signals told to itself is told
    afterwards.
    """

    def __init__(self) -> None:
        super().__init__()
        self._heard = b""
        self._before = -1
        self._is_main = threading.current_thread() is threading.main_thread()

    def quiet(self) -> bytes:
        written = super().quiet()
        self._heard += written
        return written

    def __enter__(self) -> "_AnySignal":
        if self._is_main:
            self._before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_main:
            signal.set_wakeup_fd(self._before)
            self.quiet()
        self.close()
        if self._before != -1 and self._heard:
            try:
                os.write(self._before, self._heard)
            except OSError:
                pass  # full: whoever reads there looks anyway


def _renew_all() -> None:
    for bell in list(_all):
        bell.renew()


os.register_at_fork(after_in_child=_renew_all)
