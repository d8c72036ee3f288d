"""Turns texts into capitals. A request is a file in ./inbox; its answer is a file of the same name in ./outbox."""

import pathlib
import time

import sppm


class Capitals(sppm.Worker):
    max_requests = 3

    def setup(self):
        self.inbox, self.outbox = pathlib.Path("inbox"), pathlib.Path("outbox")
        self.inbox.mkdir(exist_ok=True)
        self.outbox.mkdir(exist_ok=True)
        self.next = None

    def wait_request(self):
        # Only looks: a signal may end the worker here. What is taken up is taken up in `handle_request`.
        self.next = min(self.inbox.glob("*.txt"), default=None)
        if self.next is None:
            sppm.beat()
            time.sleep(0.1)
        return self.next is not None

    def handle_request(self):
        print("begin", self.next.name)
        (self.outbox / self.next.name).write_text(self.next.read_text().upper())
        self.next.unlink()
        print("end", self.next.name)

    def stop(self):
        print("stop after", self.handled)


Capitals().main()
