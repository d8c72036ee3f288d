"""A connection to ``SPPM_SOCKET`` that is made again when it breaks.

Requests are lines, each has one answer line, in order. What lasts (subscriptions, a busy mark) belongs to the owner,
who is asked for it at each new connection. One thread reads; it exists from the first request on.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import deque
from typing import Callable, Deque, List, Optional

from . import _wire
from ._wire import Push, Unavailable

FIRST_PAUSE = 0.02
LAST_PAUSE = 0.5
HELLO_TIMEOUT = 5.0
LONGEST_UNREAD = 1 << 20


class _Pending:
    """A request that waits for its answer."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.answer: Optional[str] = None

    def resolve(self, answer: Optional[str]) -> None:
        self.answer = answer
        self.done.set()


class _Lines:
    """The lines that come from a socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._unread = b""

    def next(self) -> str:
        while True:
            line, end, rest = self._unread.partition(b"\n")
            if end:
                self._unread = rest
                return line.decode("utf-8", "replace")
            more = self._sock.recv(65_536)
            if not more or len(self._unread) > LONGEST_UNREAD:
                raise ConnectionResetError("the supervisor closed the connection")
            self._unread += more


class Connection:
    """See the head of this file. ``lasting`` gives the lines to say first, ``pushed`` gets what comes unasked."""

    def __init__(self, path: str, run: str, lasting: Callable[[], List[str]], pushed: Callable[[Push], None]) -> None:
        self._path, self._run = path, run
        self._lasting, self._pushed = lasting, pushed
        #: Held while something is sent, and while what lasts is changed: so nothing is said twice or forgotten.
        self.sending = threading.RLock()
        self._changed = threading.Condition()
        self._opened: Optional[socket.socket] = None
        self._sock: Optional[socket.socket] = None  # the same, as soon as it can be used
        self._waiting: Deque[_Pending] = deque()
        self._trouble = "no connection yet"
        self._thread: Optional[threading.Thread] = None
        self._closed = threading.Event()

    def start(self) -> None:
        """Begins to connect; returns at once."""
        with self._changed:
            if self._thread is None and not self._closed.is_set():
                self._thread = threading.Thread(target=self._serve, name="sppm-channel", daemon=True)
                self._thread.start()

    def call(self, line: str, again: bool, timeout: float) -> str:
        """Sends a request and waits for its answer; ``again``: once more where the answer was lost."""
        deadline = time.monotonic() + timeout
        self.start()
        while True:
            pending = self._send(line, deadline)
            if not pending.done.wait(max(0.0, deadline - time.monotonic())):
                raise Unavailable("no answer within %g s" % timeout)
            if pending.answer is not None:
                return pending.answer
            if not again:
                raise Unavailable("the connection was lost before the answer")

    def declare(self, change: Callable[[], None], line: str, timeout: float) -> str:
        """Makes a change to what lasts, in any case, and says it: once, but for a connection that breaks meanwhile."""
        deadline = time.monotonic() + timeout
        pending: Optional[_Pending] = None
        self.start()
        try:
            self._connected(deadline)
        finally:
            with self.sending:
                change()
                if self._sock is not None:
                    pending = self._put(self._sock, line)
        if pending is not None and pending.done.wait(max(0.0, deadline - time.monotonic())):
            if pending.answer is not None:
                return pending.answer
        return self.call(line, True, max(0.0, deadline - time.monotonic()))

    def close(self) -> None:
        """Ends it for good."""
        with self._changed:
            self._closed.set()
            self._changed.notify_all()
        with self.sending:
            if self._sock is not None:
                _shut(self._sock)

    def abandon(self) -> None:
        """In a forked child: gives up the parent's connection without a word on it."""
        if self._opened is not None:
            self._opened.close()

    def say(self, line: str) -> bool:
        """Sends a request without waiting for its answer; False where there is no connection at the moment."""
        with self.sending:
            if self._sock is None:
                return False
            self._put(self._sock, line)
            return True

    def _send(self, line: str, deadline: float) -> _Pending:
        while True:
            sock = self._connected(deadline)
            with self.sending:
                if self._sock is sock:
                    return self._put(sock, line)

    def _put(self, sock: socket.socket, line: str) -> _Pending:
        pending = _Pending()
        self._waiting.append(pending)
        try:
            sock.sendall(line.encode() + b"\n")
        except OSError:
            _shut(sock)  # the reader sees it, and tells all who wait
        except BaseException:
            _shut(sock)  # half a line may have gone out
            raise
        return pending

    def _connected(self, deadline: float) -> socket.socket:
        with self._changed:
            while True:
                if self._closed.is_set():
                    raise Unavailable("the channel is closed")
                if self._sock is not None:
                    return self._sock
                left = deadline - time.monotonic()
                if left <= 0:
                    raise Unavailable(self._trouble)
                self._changed.wait(left)

    def _serve(self) -> None:
        pause = FIRST_PAUSE
        while not self._closed.is_set():
            self._opened = sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                lines = self._greet(sock)
                pause = FIRST_PAUSE
                while True:
                    self._hear(lines.next())
            except (OSError, _wire.ChannelError) as error:
                self._trouble = str(error)
            finally:
                self._lose(sock)
            self._closed.wait(pause)
            pause = min(pause * 2, LAST_PAUSE)

    def _greet(self, sock: socket.socket) -> _Lines:
        sock.settimeout(HELLO_TIMEOUT)
        sock.connect(self._path)
        sock.sendall(b"hello %s\n" % self._run.encode())
        lines = _Lines(sock)
        _wire.operand(lines.next(), "ok")
        sock.settimeout(None)
        with self.sending:
            for line in self._lasting():
                self._put(sock, line)
            self._sock = sock
        with self._changed:
            self._changed.notify_all()
        if self._closed.is_set():
            raise ConnectionAbortedError("closed meanwhile")
        return lines

    def _hear(self, line: str) -> None:
        push = _wire.push(line)
        if push is not None:
            self._pushed(push)
        elif self._waiting:
            self._waiting.popleft().resolve(line)

    def _lose(self, sock: socket.socket) -> None:
        _shut(sock)
        with self.sending:
            self._sock = None
            lost = list(self._waiting)
            self._waiting.clear()
        sock.close()
        for pending in lost:
            pending.resolve(None)


def _shut(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it is not connected any more
