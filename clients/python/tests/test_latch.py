"""Waits that signals end, also those that come right before."""

import os
import select
import signal
import threading
import time
import unittest
from unittest import mock

from sppm._latch import Doorbell, Latch, wait_any


class Waits(unittest.TestCase):
    def test_a_latch_stays_set_and_a_doorbell_goes_quiet(self) -> None:
        latch, bell = Latch(), Doorbell()
        self.assertFalse(wait_any([latch, bell], 0))
        bell.ring()
        self.assertTrue(wait_any([latch, bell]))
        bell.quiet()
        self.assertFalse(wait_any([latch, bell], 0.01))
        threading.Timer(0.05, latch.set).start()
        self.assertTrue(wait_any([latch, bell]))
        self.assertTrue(wait_any([latch], 0))
        bell.close()

    def test_a_signal_right_before_the_wait_is_not_slept_through(self) -> None:
        """Python calls a handler between two of its steps: for a signal after the last of them, after the wait."""
        bell, real = Doorbell(), select.poll
        before = signal.signal(signal.SIGUSR1, lambda *_: None)
        self.addCleanup(signal.signal, signal.SIGUSR1, before)

        class Poll:
            def __init__(self) -> None:
                self.poll_ = real()
                self.register = self.poll_.register

            def poll(self, left: float) -> "list[tuple[int, int]]":
                os.kill(os.getpid(), signal.SIGUSR1)
                found = self.poll_.poll(left)
                bell.ring()  # what the handler would do
                return found

        with mock.patch.object(select, "poll", Poll):
            self.assertTrue(wait_any([bell], 5), "the wait began, and nothing ended it")
        bell.close()

    def test_other_signals_do_not_end_a_wait_and_reach_an_event_loop(self) -> None:
        latch, loop = Latch(), Doorbell()
        handlers = signal.signal(signal.SIGUSR1, lambda *_: None)
        self.addCleanup(signal.signal, signal.SIGUSR1, handlers)
        before = signal.set_wakeup_fd(loop._write)
        self.addCleanup(signal.set_wakeup_fd, before)
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        start = time.monotonic()
        self.assertFalse(wait_any([latch], 0.3))
        self.assertGreaterEqual(time.monotonic() - start, 0.29)
        self.assertEqual(loop.quiet(), bytes([signal.SIGUSR1]))

    def test_a_forked_child_does_not_answer_the_bell_of_its_parent(self) -> None:
        latch = Latch()
        pid = os.fork()
        if pid == 0:
            latch.set()
            os._exit(0 if wait_any([latch], 0) else 1)
        self.assertEqual(os.waitpid(pid, 0)[1], 0)
        self.assertFalse(wait_any([latch], 0))
