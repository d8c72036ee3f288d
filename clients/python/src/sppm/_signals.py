"""The signals that ask a program to end: remembered at once, acted upon between two tasks.

Two kinds of programs are served. One *asks*: its loop calls ``signal_monitor`` or ``stop_wanted`` and leaves when
told so; the handler only remembers. The other only marks its tasks with ``with task():``; a signal within a task
waits for its end, and one between two tasks ends the program where it stands.
"""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import contextmanager
from types import FrameType
from typing import Any, Callable, Iterator, List, NamedTuple, Optional, Tuple

from . import _environment
from ._latch import Latch

NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Stop(NamedTuple):
    """That a stop is wanted, and why."""

    kind: str
    """``signal`` (one has come), or what the supervisor plans: ``stop``, ``restart``, ``shutdown``."""
    why: str
    """The name of the signal, or the supervisor's reason."""


class _State:
    """All that the handler reads and writes. It takes no lock: it may run between any two steps of the main thread."""

    def __init__(self) -> None:
        self.latch = Latch()
        self.stop: Optional[Stop] = None
        self.number = 0
        self.interrupts = 0
        #: The program asks by itself whether to end: it is never ended between two tasks.
        self.asks = False
        #: The program will ask, but may not have done so yet.
        self.patient = False
        #: The main thread stands where leaving harms nothing, whatever the program does otherwise.
        self.may_leave = False
        self.is_busy: Callable[[], bool] = lambda: False
        self.callbacks: List[Tuple[Callable[..., Any], Tuple[Any, ...]]] = []
        self.called: List[Tuple[Callable[..., Any], Tuple[Any, ...]]] = []


_state = _State()


def _handle(number: int, _frame: Optional[FrameType]) -> None:
    if _state.stop is None:
        _state.stop, _state.number = Stop("signal", signal.Signals(number).name), number
    _state.latch.set()
    if number == signal.SIGINT and not _environment.supervised():
        _state.interrupts += 1
        if _state.interrupts > 1:  # the second Ctrl-C of somebody who does not want to wait
            raise KeyboardInterrupt
    if _state.may_leave or not (_state.asks or _state.patient or _state.is_busy()):
        leave()


def install(patient: bool = False) -> None:
    """Takes over those of the signals that have their default action, once.

    Handlers of the program itself, and signals that it ignores (nohup), stay as they are. Only the main thread can do
    it; in any other this does nothing.
    """
    _state.patient = _state.patient or patient
    if threading.current_thread() is not threading.main_thread():
        return
    for number in NUMBERS:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _handle)


def watch_busy(is_busy: Callable[[], bool]) -> None:
    """Tells the handler how to find out whether a task is open."""
    _state.is_busy = is_busy


def asks() -> None:
    """Notes that the program asks by itself whether to end."""
    install()
    _state.asks = True


def caught() -> Optional[Stop]:
    """The stop that a signal asked for."""
    return _state.stop


def latch() -> Latch:
    """Set from the first signal on."""
    return _state.latch


def leave() -> None:
    """Ends this thread, and with the main thread the program: callbacks first, then ``SystemExit``."""
    run_callbacks()
    sys.exit(130 if _state.number == signal.SIGINT else 0)


def leave_if_wanted() -> None:
    """Leaves where a signal has come and the program does not ask by itself."""
    if _state.stop is not None and not _state.asks:
        leave()


def wake_main() -> None:
    """After the last task of another thread: the signal again, for the main thread that waits somewhere."""
    main = threading.main_thread()
    if _state.stop is None or _state.asks or threading.current_thread() is main or main.ident is None:
        return
    number = signal.SIGTERM if _state.number == signal.SIGINT else _state.number  # a second INT would mean impatience
    if signal.getsignal(number) is _handle:
        signal.pthread_kill(main.ident, number)


@contextmanager
def leaving() -> Iterator[None]:
    """A stretch of the main thread in which nothing is lost: a signal ends it at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _state.may_leave = True
    try:
        if _state.stop is not None:
            leave()
        yield
    finally:
        _state.may_leave = False


def on_exit(callback: Callable[..., Any], args: Tuple[Any, ...]) -> None:
    """Remembers what the program wants to have called before it ends."""
    if (callback, args) not in _state.callbacks:
        _state.callbacks.append((callback, args))


def run_callbacks() -> None:
    """Calls each of them that was not called yet."""
    while _state.callbacks:
        entry = _state.callbacks.pop(0)
        if entry not in _state.called:
            _state.called.append(entry)
            entry[0](*entry[1])
