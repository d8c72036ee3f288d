"""Tasks under a kernel lock: busy is who holds an exclusive flock(2) on the file ``SPPM_LOCK``.

The lock dies with its holder, and also serialises several processes. The supervisor takes it itself for a stop: no task
begins after that.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from contextlib import contextmanager
from typing import Iterator, Optional

from . import _busy, _environment, _signals
from ._latch import Doorbell, wait_any

REST = 0.001
"""Between two tasks: flock(2) has no queue, and who waits needs a moment to get it."""

_let_go_at = 0.0


@contextmanager
def flock_task() -> Iterator[None]:
    """Busy while inside, by a kernel lock (``working_lock: flock``). Waits until nobody else holds it.

    A signal to end that comes while it waits ends the program there (``SystemExit``; the callback of ``signal_monitor``
    is called before); one that comes within the task does so at its end, unless the program asks itself. Between two
    tasks it leaves a millisecond in which the supervisor gets the lock. Not to be nested, and not to be mixed with
    ``task`` or ``working_lock``, which replace the file. Without a supervisor there is no lock to wait for.
    """
    global _let_go_at
    _signals.install()
    _signals.leave_if_wanted()
    path = _environment.variable("SPPM_LOCK")
    time.sleep(max(0.0, min(REST, _let_go_at + REST - time.monotonic())))
    fd = None if path is None else _take(path)
    try:
        _busy.open_other()
        try:
            yield
        finally:
            _release(fd)
            fd = None
            _let_go_at = time.monotonic()
            _busy.close_other()
    finally:
        _release(fd)
    _signals.leave_if_wanted()


def _release(fd: Optional[int]) -> None:
    if fd is not None:
        fcntl.flock(fd, fcntl.LOCK_UN)  # a child that was forked meanwhile has the same lock
        os.close(fd)


def _take(path: str) -> Optional[int]:
    """The descriptor that holds the lock; None where the file cannot be opened."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return fd
    except BlockingIOError:
        return _Wait(fd).result()
    except BaseException:
        os.close(fd)
        raise


class _Wait:
    """A wait for the lock that a signal can end.

    The call that blocks is made by a thread of its own: a signal just before it would be lost on it, and this thread
    waits for both. A thread that is left alone closes the descriptor when it gets the lock after all.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._bell = Doorbell()
        self._lock = threading.Lock()
        self._taken = False
        self._left = False
        self._error: Optional[OSError] = None
        threading.Thread(target=self._block, name="sppm-flock", daemon=True).start()

    def _block(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
        except OSError as error:
            self._error = error
        with self._lock:
            if self._left:
                _release(self._fd)
                self._bell.close()
            else:
                self._taken = True
                self._bell.ring()

    def result(self) -> Optional[int]:
        """Waits for the lock, or leaves."""
        try:
            wait_any([self._bell, _signals.latch()])
            if _signals.caught() is not None:
                _signals.leave()
        except BaseException:
            self._leave()
            raise
        self._bell.close()
        if self._error is not None:
            os.close(self._fd)
            return None
        return self._fd

    def _leave(self) -> None:
        with self._lock:
            self._left = True
            if self._taken:
                _release(self._fd)
                self._bell.close()
