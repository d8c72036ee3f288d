"""Waking those who wait: pipes, because a signal handler may write to one and must not take a lock."""

from __future__ import annotations

import os
import select
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

    def quiet(self) -> None:
        """Takes back every ring so far."""
        try:
            while os.read(self._read, 4096):
                pass
        except BlockingIOError:
            pass

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
    """Waits until one of them rings; False when ``timeout`` seconds have passed without."""
    poll = select.poll()
    for bell in bells:
        poll.register(bell.fileno(), select.POLLIN)
    return bool(poll.poll(None if timeout is None else max(0.0, timeout) * 1000))


def _renew_all() -> None:
    for bell in list(_all):
        bell.renew()


os.register_at_fork(after_in_child=_renew_all)
