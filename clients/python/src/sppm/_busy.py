"""Whether this process is in the middle of a task: counted here, published in the working lock's file.

The file ``SPPM_LOCK`` has three lines, the process id, the time, and ``1`` or ``0``. It is replaced by rename, so
that no reader sees half of it. One process of a program writes it; programs that work in several processes mark their
tasks on a channel (``Channel.task``), where each has a mark of its own.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Optional

from . import _environment, _notify, _signals

REST = 0.001
"""An idle gap must last so long to be seen for sure."""

REST_EVERY = 0.05
"""Where tasks follow without a gap, one is made so often: a stop finds its moment, short tasks lose little."""


class _Busy:
    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.marked = False  # by working_lock
        self.tasks = 0  # by task(), published in the file
        self.others = 0  # published elsewhere: flock, channels
        self.own = threading.local()
        self.told = False  # a text with `busy` went into the FIFO
        self.idle_since = 0.0
        self.rested_at = 0.0


_busy = _Busy()
_signals.watch_busy(lambda: _busy.marked or _busy.tasks > 0 or _busy.others > 0)


def depth() -> int:
    """How many tasks this thread has open, one within the other."""
    return getattr(_busy.own, "depth", 0)


def open_task(what: Optional[str]) -> None:
    """A task begins in this thread; the first of the process is published before this returns."""
    if depth() == 0:
        _begin()
    with _busy.lock:
        _busy.tasks += 1
        _busy.own.depth = depth() + 1
        if _busy.tasks == 1:
            _publish()
        if what:
            _tell(what)


def close_task() -> None:
    """The task that this thread opened last has ended."""
    with _busy.lock:
        if _busy.tasks == 0:
            return  # a child that was forked in the middle: the task is its parent's
        if _busy.tasks == 1:
            _untell()
            _publish(busy=_busy.marked)
        _busy.tasks -= 1
        _busy.own.depth = depth() - 1
        _ended()


def open_other() -> None:
    """A task begins that is published in another way."""
    with _busy.lock:
        _busy.others += 1
        _busy.own.depth = depth() + 1


def close_other() -> None:
    """It has ended."""
    with _busy.lock:
        if _busy.others == 0:
            return
        _busy.others -= 1
        _busy.own.depth = depth() - 1
        _ended()


def mark(is_active: bool) -> None:
    """What ``working_lock`` does."""
    if is_active:
        _rest()
    with _busy.lock:
        _busy.marked = is_active or _busy.marked
        _publish(busy=is_active or _busy.tasks > 0)
        _busy.marked = is_active
        if not is_active:
            _ended()


def is_marked() -> bool:
    """Whether ``working_lock(True)`` holds."""
    return _busy.marked


def _begin() -> None:
    """Before the first task of a thread: a gap that can be seen, and no task after a signal."""
    _signals.install()
    _signals.leave_if_wanted()
    _rest()
    _signals.leave_if_wanted()


def _rest() -> None:
    now = time.monotonic()
    left = _busy.idle_since + REST - now
    if left <= 0:
        _busy.rested_at = now
    elif now - _busy.rested_at >= REST_EVERY and not (_busy.marked or _busy.tasks):
        time.sleep(left)
        _busy.rested_at = time.monotonic()


def _ended() -> None:
    if _busy.tasks == 0 and _busy.others == 0 and not _busy.marked:
        _busy.idle_since = time.monotonic()
        _signals.wake_main()


def _tell(what: str) -> None:
    """The text of the task, for people. Only from the main process: one sent by a helper would outlive its death."""
    if _environment.is_main() and _notify.send("busy", what):
        _busy.told = True


def _untell() -> None:
    if _busy.told and _notify.send("idle", patience=_notify.PATIENCE):
        _busy.told = False


def _publish(busy: bool = True) -> None:
    path = _environment.variable("SPPM_LOCK")
    if path is None or write(path, busy):
        return
    # No room on the disk, or a folder that is gone: the mark takes the other way, rather than the task fail.
    if busy:
        _busy.told = _notify.send("busy", patience=_notify.PATIENCE) or _busy.told
    else:
        _untell()


def write(path: str, busy: bool) -> bool:
    """Replaces the file; False where that is not possible."""
    text = b"%d\n%.6f\n%d\n" % (os.getpid(), time.time(), busy)
    folder, name = os.path.split(path)
    beside = os.path.join(folder, ".%s.%d.tmp" % (name, os.getpid()))
    try:
        _put(beside, os.O_CREAT | os.O_TRUNC, text)
        os.rename(beside, path)
        return True
    except OSError:
        _remove(beside)
    try:  # a folder that only the supervisor may write into
        _put(path, os.O_TRUNC, text)
        return True
    except OSError:
        return False


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass  # it never came to be


def _put(path: str, flags: int, text: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | flags, 0o644)
    try:
        if os.write(fd, text) != len(text):
            raise OSError("no room")
    finally:
        os.close(fd)


def _forked() -> None:
    """A forked child has no task of its own yet, and another thread may have held the lock."""
    global _busy
    _busy = _Busy()


os.register_at_fork(after_in_child=_forked)
