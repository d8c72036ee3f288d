"""A supervisor's side of SPPM_SOCKET, in memory, to the letter of the protocol."""

from __future__ import annotations

import os
import re
import socket
import threading
from typing import Callable, Dict, List, Optional, Tuple

RUN = "00000000-0000-4000-8000-000000000001"


class Connection:
    """One client."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self.sock = sock
        self.name = "prog.%d" % number
        self.patterns: List[str] = []
        self.busy: Optional[str] = None
        self.waits_for_stop = False

    def send(self, line: str) -> None:
        try:
            self.sock.sendall(line.encode() + b"\n")
        except OSError:
            pass

    def hears(self, topic: str) -> bool:
        return any(re.fullmatch(".*".join(map(re.escape, p.split("*"))), topic) for p in self.patterns)


class FakeSocket:
    """The server. ``lines`` is what was said to it; ``until`` waits for something to be so."""

    def __init__(self, folder: str) -> None:
        self.path = os.path.join(folder, "socket")
        self.changed = threading.Condition()
        self.lines: List[str] = []
        self.connections: List[Connection] = []
        self.greeted = 0
        self.store: Dict[str, Tuple[int, str]] = {}
        self.versions: Dict[str, int] = {}
        self.answers: Dict[str, Optional[str]] = {}  # by first word: instead of the right one; None: hang up
        self.stop_wanted: Optional[str] = None
        self.listener: Optional[socket.socket] = None
        self.start()

    def start(self) -> None:
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        self.listener.listen(16)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def stop(self) -> None:
        """As a supervisor that is gone: no socket, every connection broken."""
        if self.listener is not None:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.listener = None
            os.unlink(self.path)
        self.drop()

    def drop(self) -> None:
        with self.changed:
            for connection in self.connections:
                try:
                    connection.sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def want_stop(self, words: str) -> None:
        with self.changed:
            self.stop_wanted = words
            for connection in self.connections:
                self._tell_stop(connection)

    def until(self, condition: Callable[[], object], seconds: float = 30) -> None:
        with self.changed:
            if not self.changed.wait_for(condition, seconds):
                raise AssertionError("it did not become so; said: %r" % self.lines)

    def busy(self) -> List[str]:
        return [c.busy for c in self.connections if c.busy is not None]

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        connection: Optional[Connection] = None
        with sock, sock.makefile("rb") as file:
            try:
                for raw in file:
                    line = raw.decode()[:-1]
                    with self.changed:
                        self.lines.append(line)
                        if connection is None:
                            if line != "hello " + RUN:
                                sock.sendall(b"error not-permitted no such run\n")
                                break
                            self.greeted += 1
                            connection = Connection(sock, self.greeted)
                            self.connections.append(connection)
                            connection.send("ok " + connection.name)
                        elif not self._request(connection, line):
                            break
                        self.changed.notify_all()
            except OSError:
                pass
        with self.changed:
            if connection in self.connections:
                self.connections.remove(connection)
            self.changed.notify_all()

    def _request(self, connection: Connection, line: str) -> bool:
        word, _, rest = line.partition(" ")
        if word in self.answers:
            answer = self.answers.pop(word)
            if answer is None:
                connection.sock.shutdown(socket.SHUT_RDWR)
                return False
            connection.send(answer)
            return True
        connection.send(getattr(self, "_" + word.replace("-", "_"))(connection, rest))
        if word == "wait-stop":
            self._tell_stop(connection)
        return True

    def _tell_stop(self, connection: Connection) -> None:
        if connection.waits_for_stop and self.stop_wanted is not None:
            connection.waits_for_stop = False
            connection.send("stop " + self.stop_wanted)

    def _sub(self, connection: Connection, pattern: str) -> str:
        if pattern not in connection.patterns:
            connection.patterns.append(pattern)
        return "ok"

    def _unsub(self, connection: Connection, pattern: str) -> str:
        if pattern in connection.patterns:
            connection.patterns.remove(pattern)
        return "ok"

    def _pub(self, connection: Connection, rest: str) -> str:
        topic, _, data = rest.partition(" ")
        hearers = [c for c in self.connections if c.hears(topic)]
        for hearer in hearers:
            hearer.send("msg %s %s %s" % (topic, connection.name, data))
        return "ok %d" % len(hearers)

    def _get(self, _: Connection, key: str) -> str:
        return "value %d %s" % self.store[key] if key in self.store else "none"

    def _set(self, _: Connection, rest: str) -> str:
        key, _sep, data = rest.partition(" ")
        self.versions[key] = version = self.versions.get(key, 0) + 1
        self.store[key] = (version, data)
        return "ok %d" % version

    def _cas(self, connection: Connection, rest: str) -> str:
        key, version, data = rest.split(" ", 2)
        now = self.store[key][0] if key in self.store else 0
        if int(version) != now:
            return "error changed %d" % now
        return self._set(connection, key + " " + data)

    def _del(self, _: Connection, key: str) -> str:
        return "none" if self.store.pop(key, None) is None else "ok"

    def _keys(self, _: Connection, prefix: str) -> str:
        return " ".join(["keys"] + sorted(key for key in self.store if key.startswith(prefix)))

    def _wait_stop(self, connection: Connection, _: str) -> str:
        connection.waits_for_stop = True
        return "ok"

    def _busy(self, connection: Connection, what: str) -> str:
        connection.busy = what
        return "ok"

    def _idle(self, connection: Connection, _: str) -> str:
        connection.busy = None
        return "ok"

    def _ping(self, _: Connection, __: str) -> str:
        return "ok"
