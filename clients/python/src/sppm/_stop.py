"""Asking whether to end: ``signal_monitor``, ``stop_wanted``, ``wait_stop``."""

from __future__ import annotations

import threading
import time
from typing import Any, Callable, List, Optional

from . import _default, _environment, _signals
from ._latch import Doorbell, Latch, wait_any
from ._signals import Stop


class _Announced:
    """The stop that the supervisor plans: it is known before the signal, which may wait for the end of a task."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked = False
        self.latch = Latch()
        self.stop: Optional[Stop] = None

    def ask(self) -> None:
        """Has the supervisor say it, from the first call on."""
        if self._asked or _environment.variable("SPPM_SOCKET") is None:
            return
        with self._lock:
            if not self._asked:
                self._asked = True
                _default.channel().on_stop(self._hear)

    def _hear(self, kind: str, why: str) -> None:
        if self.stop is None:
            self.stop = Stop(kind, why)
        self.latch.set()


_announced = _Announced()


def signal_monitor(exit_callback: Optional[Callable[..., Any]] = None, *args: Any) -> bool:
    """Whether a signal asked this program to end (TERM, INT, HUP). To be called between two tasks, in a loop.

    The first call after such a signal calls ``exit_callback(*args)``, once, and every call then says True: the loop
    is to be left. The first call of all takes the signals over, unless the program handles them itself; from then on
    none of them cuts a task in half. (A second Ctrl-C on a terminal does.)
    """
    _signals.asks()
    if exit_callback is not None:
        _signals.on_exit(exit_callback, args)
    if _signals.caught() is None:
        return False
    _signals.run_callbacks()
    return True


def stop_wanted() -> Optional[Stop]:
    """What asks this program to end: a signal that came, or a stop that the supervisor plans; None: nothing does.

    A supervisor that waits for the end of a task says so here before it sends any signal: a long task may look from
    time to time, and come to an early end. Without a supervisor only signals count.
    """
    _signals.asks()
    _announced.ask()
    return _signals.caught() or _announced.stop


def wait_stop(timeout: Optional[float] = None) -> Optional[Stop]:
    """Waits until a stop is wanted, at most ``timeout`` seconds: a sleep between two looks that ends early."""
    stop = stop_wanted()
    deadline = None if timeout is None else time.monotonic() + timeout
    bells: List[Doorbell] = [_signals.latch(), _announced.latch]
    while stop is None:
        if not wait_any(bells, None if deadline is None else deadline - time.monotonic()):
            return stop_wanted()
        stop = stop_wanted()
    return stop
