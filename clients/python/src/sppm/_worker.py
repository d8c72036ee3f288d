"""A program that handles one request after the other."""

from __future__ import annotations

import socket
import sys
from typing import Dict, NoReturn, Optional

from . import _busy, _environment, _notify, _signals, _sockets, _stop

RECYCLE_WAIT = 60.0
"""Seconds that a worker with all its requests done waits to be replaced, before it ends by itself."""


class Worker:
    """Subclass it, override ``handle_request``, call ``main()``.

    Each request is a task: none is cut in half, a stop comes between two. After ``max_requests`` (or
    ``SPPM_MAX_REQUESTS``) requests the worker asks to be replaced and takes no more; where nobody hears that, it ends.
    """

    #: Sockets that were opened before this process, by name (``LISTEN_FDS``).
    sockets: Dict[str, socket.socket]
    #: How many requests this process has handled.
    handled: int = 0
    #: After how many it asks to be replaced; None: never.
    max_requests: Optional[int] = None

    def setup(self) -> None:
        """Once, first: what is the same for all processes of this program (configuration, imports)."""

    def init_process(self) -> None:
        """Once in each process, after ``setup``: what belongs to it alone (connections, random seeds)."""

    def wait_request(self) -> bool:
        """Waits until there is a request; False: there is none yet, ask again.

        Override it where requests do not always come at once: what waits within ``handle_request`` counts as busy. A
        signal ends the worker at once while it is in here, so it must only look, and not yet take the request.
        """
        return True

    def handle_request(self) -> None:
        """One request, whole. Called again and again."""
        raise NotImplementedError("%s does not override handle_request" % type(self).__name__)

    def stop(self) -> None:
        """Once, last: closes what ``setup`` and ``init_process`` opened."""

    def run(self) -> None:
        """The life of the worker; returns when it is to end. What ``handle_request`` raises ends it too."""
        _signals.asks()
        self.handled = 0
        self.sockets = _sockets.inherited_sockets()
        if self.max_requests is None:
            limit = _environment.variable("SPPM_MAX_REQUESTS") or ""
            self.max_requests = int(limit) if limit.isdigit() and int(limit) > 0 else None
        self.setup()
        try:
            self.init_process()
            _notify.ready()
            while not self._is_done() and self._waited():
                self._handle()
        finally:
            self.stop()

    def main(self) -> NoReturn:
        """``run``, as a whole program."""
        self.run()
        sys.exit(0)

    def _is_done(self) -> bool:
        if _signals.caught() is not None:
            return True
        if self.max_requests is None or self.handled < self.max_requests:
            return False
        # Replaced by the supervisor where there is one, whatever the restart policy says about an end of its own.
        if _notify.request_restart("%d requests are done" % self.handled):
            _stop.wait_stop(RECYCLE_WAIT)
        return True

    def _waited(self) -> bool:
        """Waits for a request; False where a signal came instead."""
        while _signals.caught() is None:
            try:
                with _signals.leaving():
                    if self.wait_request():
                        break
            except SystemExit:
                if _signals.caught() is None:
                    raise
        return _signals.caught() is None

    def _handle(self) -> None:
        _busy.open_task(None)
        try:
            self.handle_request()
        finally:
            self.handled += 1
            _busy.close_task()
        _notify.request()
