"""Marking tasks: ``with task():``, ``working_lock``, ``lock``."""

from __future__ import annotations

from contextlib import ContextDecorator
from types import TracebackType
from typing import Optional, Type

from . import _busy, _signals


class Task(ContextDecorator):
    """What ``task`` gives. It can be used again, nested, by several threads, and as a decorator."""

    def __init__(self, what: Optional[str] = None) -> None:
        self._what = what

    def __enter__(self) -> "Task":
        _busy.open_task(self._what)
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        _busy.close_task()
        if kind is None and _busy.depth() == 0:
            _signals.leave_if_wanted()


def task(what: Optional[str] = None) -> Task:
    """Busy while inside: no stop and no restart cuts the task in half. ``what`` is for people (``sppm status``).

    The supervisor waits for its end before it sends a signal (``working_lock.on_stop``). One that comes all the same
    (TERM, INT, HUP: Ctrl-C, ``on_stop: signal``) is remembered: the task is finished, and at its end the program leaves
    by ``SystemExit``, so that ``finally`` and ``atexit`` have their turn. Between two tasks it ends it at once. A program
    that calls ``signal_monitor`` or ``stop_wanted`` decides itself where it leaves.

    Threads may have tasks open at the same time. Signals are taken over by the first task of the main thread (Python
    lets no other do it). A program that works in several processes uses ``Channel.task``.
    """
    return Task(what)


def working_lock(is_active: bool = False) -> None:
    """Marks this program busy (True) or idle (False), until the next call.

    The supervisor stops or restarts it only while it is idle. Never raises; without a supervisor it marks nothing, and
    the program is protected by its own ``signal_monitor``.
    """
    _busy.mark(bool(is_active))


def lock(is_working: bool = False) -> None:
    """The older name of ``working_lock``. Without an argument it marks idle: what follows is protected only by the
    program's own ``signal_monitor`` and by the time that the supervisor gives it after TERM (``stop.timeout``)."""
    _busy.mark(bool(is_working))
