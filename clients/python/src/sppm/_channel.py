"""The conversation with the supervisor: topics, the shared store, marks of one's own."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from contextlib import contextmanager
from typing import Any, Callable, Iterator, List, Optional

from . import _busy, _environment, _signals, _wire
from ._connection import Connection
from ._subscription import Subscription
from ._wire import ChannelError, Message, Push, Unavailable

_log = logging.getLogger("sppm")

TIMEOUT = 10.0
"""Seconds that a request waits for its answer, and for a supervisor that is being replaced."""


class Channel:
    """A connection to the supervisor, that makes itself again when the supervisor is replaced.

    It then says again what lasts: its subscriptions and its busy mark. Without a supervisor ``publish`` hands over to
    nobody and subscriptions stay empty. May be used by several threads. In a forked child it begins anew: with a
    connection of its own, without subscriptions, idle.
    """

    def __init__(self, path: Optional[str] = None, run: Optional[str] = None, timeout: float = TIMEOUT) -> None:
        self._path = path or _environment.variable("SPPM_SOCKET")
        self._run = run or _environment.variable("SPPM_RUN")
        self.timeout = timeout
        self._begin()
        _channels.add(self)

    def _begin(self) -> None:
        self._subscriptions: List[Subscription] = []
        self._what: Optional[str] = None  # of the busy mark, "" without words
        self._depth = 0
        self._tasks = threading.Lock()
        self._on_stop: Optional[Callable[[str, str], object]] = None
        self._closed = False
        self._connection: Optional[Connection] = None
        if self._path is not None and self._run is not None:
            self._connection = Connection(self._path, self._run, self._lasting, self._push)

    @property
    def available(self) -> bool:
        """Whether there is a supervisor to talk with, reachable or not."""
        return self._connection is not None

    # -- topics

    def publish(self, topic: str, data: Any) -> int:
        """Hands ``data`` (anything that JSON can say) to all who subscribed to ``topic``; says to how many."""
        line = "pub %s %s" % (_wire.name(topic), _wire.encode(data))
        return int(self.request(line, "ok", again=False)) if self.available else 0

    def subscribe(self, pattern: str, callback: Optional[Callable[[Message], object]] = None) -> Subscription:
        """What others publish under a topic, or under all that match (``jobs/*``), from now on.

        To iterate over; or, with ``callback``, called for each message in a thread of its own. A supervisor that is
        away is no error: it is told when it is back.
        """
        subscription = Subscription(pattern, self._unsubscribe)
        if self._connection is not None:
            try:
                self._declare(lambda: self._subscriptions.append(subscription), "sub " + pattern)
            except Unavailable:
                pass
            except ChannelError:
                subscription.close()
                raise
        if callback is not None:
            subscription.call(callback)
        return subscription

    def _unsubscribe(self, subscription: Subscription) -> None:
        if self._connection is None or subscription not in self._subscriptions:
            return
        with self._connection.sending:
            self._subscriptions.remove(subscription)
            last = all(other.pattern != subscription.pattern for other in self._subscriptions)
        if last and not self._closed:
            try:
                self.request("unsub " + subscription.pattern, "ok")
            except ChannelError:
                pass  # nobody listens any more, with or without it

    # -- marks

    def busy(self, what: str = "") -> bool:
        """Marks this program busy while this channel's connection lives, or until ``idle``; says whether it could."""
        return self._mark(_wire.one_line(what))

    def idle(self) -> bool:
        """Takes the mark back."""
        return self._mark(None)

    def _mark(self, what: Optional[str]) -> bool:
        def change() -> None:
            self._what = what

        try:
            self._declare(change, "idle" if what is None else ("busy " + what).rstrip())
            return True
        except ChannelError:
            return False  # said again when it can be

    @contextmanager
    def task(self, what: str = "") -> Iterator[None]:
        """As ``sppm.task``, with a mark of this channel: each process of a program may have one of its own."""
        outermost = _busy.depth() == 0
        if outermost:
            _signals.install()
            _signals.leave_if_wanted()
        _busy.open_other()
        try:
            with self._tasks:  # held until the mark is there: no second task begins without it
                self._depth += 1
                if self._depth == 1:
                    self.busy(what)
            try:
                yield
            finally:
                with self._tasks:
                    self._depth -= 1
                    if self._depth == 0:
                        self.idle()
        finally:
            _busy.close_other()
        if outermost:
            _signals.leave_if_wanted()

    # -- the rest

    def on_stop(self, callback: Callable[[str, str], object]) -> None:
        """Has ``callback(kind, why)`` called, in the channel's thread, when the supervisor wants this program to stop.

        Returns at once; does nothing without a supervisor.
        """
        if self._connection is None:
            return
        with self._connection.sending:
            self._on_stop = callback
            known = self._connection.say("wait-stop")
        if not known:
            self._connection.start()

    def _declare(self, change: Callable[[], None], line: str) -> None:
        """Changes what lasts, and says so."""
        if self._connection is None:
            raise _alone()
        _wire.operand(self._connection.declare(change, line, self.timeout), "ok")

    def request(self, line: str, word: str, again: bool = True) -> str:
        """Sends a line and gives what follows ``word`` in the answer. Raises ``ChannelError``."""
        return _wire.operand(self.ask(line, again), word)

    def ask(self, line: str, again: bool = True) -> str:
        """Sends a line and gives the answer as it is."""
        if self._connection is None:
            raise _alone()
        return self._connection.call(line, again, self.timeout)

    def close(self) -> None:
        """Ends the connection, the subscriptions and the mark."""
        self._closed = True
        for subscription in list(self._subscriptions):
            subscription.close()
        if self._connection is not None:
            self._connection.close()

    def __enter__(self) -> "Channel":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _lasting(self) -> List[str]:
        lines = sorted({"sub " + subscription.pattern for subscription in self._subscriptions})
        if self._what is not None:
            lines.insert(0, ("busy " + self._what).rstrip())
        if self._on_stop is not None:
            lines.append("wait-stop")
        return lines

    def _push(self, push: Push) -> None:
        if push.kind == "stop":
            self._call_on_stop(push.first, push.rest)
        elif push.kind == "missed":
            for subscription in list(self._subscriptions):
                subscription._miss(int(push.first) if push.first.isdigit() else 1)
        else:
            message = Message(push.first, push.second, _wire.decode(push.rest))
            for subscription in list(self._subscriptions):
                subscription._offer(message)

    def _call_on_stop(self, kind: str, why: str) -> None:
        try:
            if self._on_stop is not None:
                self._on_stop(kind, why)
        except Exception:
            _log.exception("what was to be called for a stop failed")

    def _forked(self) -> None:
        if self._connection is not None:
            self._connection.abandon()
        for subscription in self._subscriptions:
            subscription._forked()
        self._begin()


def _alone() -> Unavailable:
    return Unavailable("no supervisor started this program")


_channels: "weakref.WeakSet[Channel]" = weakref.WeakSet()


def _forked() -> None:
    for channel in list(_channels):
        channel._forked()


os.register_at_fork(after_in_child=_forked)
