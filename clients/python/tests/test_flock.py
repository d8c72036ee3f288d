"""Tasks under a kernel lock."""

import fcntl
import os
import signal
import time

from .rig import Program, RigCase, until


class Flock(RigCase):
    def setUp(self) -> None:
        super().setUp()
        self.mine = os.open(self.lock, os.O_RDWR)
        self.addCleanup(os.close, self.mine)

    def is_locked(self) -> bool:
        try:
            fcntl.flock(self.mine, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        fcntl.flock(self.mine, fcntl.LOCK_UN)
        return False

    def test_the_lock_is_held_within_a_task_and_only_there(self) -> None:
        program = self.run_in(
            self.environment(),
            """
            with sppm.flock_task():
                print("begin")
                sys.stdin.readline()
            print("between")
            sys.stdin.readline()
            """,
            stdin=-1,
        )
        assert program.process.stdin is not None
        program.says("begin")
        self.assertTrue(self.is_locked())
        program.process.stdin.write(b"\n")
        program.process.stdin.flush()
        program.says("between")
        self.assertFalse(self.is_locked())
        program.process.stdin.close()
        self.assertEqual(program.end(), 0)
        self.assertEqual(self.state(), [], "the file itself stays empty")

    def waiting(self, before: str = "", after: str = "") -> Program:
        """A program that waits for a lock which this test holds."""
        fcntl.flock(self.mine, fcntl.LOCK_EX)
        text = "%s\nprint('waits')\nwith sppm.flock_task():\n    print('begun')\n%s" % (before, after)
        program = self.run_in(self.environment(), text)
        program.says("waits")
        inode = os.stat(self.lock).st_ino
        until(lambda: self.is_waited_for(inode), "a waiter in /proc/locks")
        return program

    def is_waited_for(self, inode: int) -> bool:
        with open("/proc/locks", encoding="ascii") as file:
            return any("->" in line and ":%d " % inode in line for line in file)

    def test_a_wait_gets_the_lock_when_it_is_free(self) -> None:
        program = self.waiting()
        fcntl.flock(self.mine, fcntl.LOCK_UN)
        self.assertEqual(program.end(), 0)
        self.assertEqual(program.lines, ["waits", "begun"])

    def test_a_wait_ends_at_a_signal(self) -> None:
        program = self.waiting()
        program.send(signal.SIGTERM)
        self.assertEqual(program.end(), 0)
        self.assertEqual(program.lines, ["waits"])

    def test_the_callback_is_called_where_a_wait_ends(self) -> None:
        program = self.waiting("sppm.signal_monitor(print, 'callback')")
        program.send(signal.SIGTERM)
        self.assertEqual(program.end(), 0)
        self.assertEqual(program.lines, ["waits", "callback"])

    def test_a_wait_that_was_left_gives_the_lock_back(self) -> None:
        fcntl.flock(self.mine, fcntl.LOCK_EX)
        program = self.run_in(
            self.environment(),
            """
            try:
                with sppm.flock_task():
                    print("begun")
            except SystemExit:
                print("left")
                sys.stdin.readline()
            """,
            stdin=-1,
        )
        until(lambda: self.is_waited_for(os.stat(self.lock).st_ino), "a waiter in /proc/locks")
        program.send()
        program.says("left")
        fcntl.flock(self.mine, fcntl.LOCK_UN)
        until(lambda: not self.is_locked(), "the lock is free")
        assert program.process.stdin is not None
        program.process.stdin.close()
        self.assertEqual(program.end(), 0)

    def test_another_gets_the_lock_between_two_tasks(self) -> None:
        program = self.program("""
            while True:
                with sppm.flock_task():
                    print("task")
                    time.sleep(0.02)
        """)
        program.says("task")
        for _ in range(10):
            start = time.monotonic()
            fcntl.flock(self.mine, fcntl.LOCK_EX)
            self.assertLess(time.monotonic() - start, 10)
            fcntl.flock(self.mine, fcntl.LOCK_UN)
        program.send()
        self.assertEqual(program.end(), 0)

    def test_without_a_lock_file_the_task_runs(self) -> None:
        for environment in (self.alone(), self.environment(SPPM_LOCK="/none/lock")):
            program = self.run_in(environment, "with sppm.flock_task():\n    print('ran')")
            self.assertEqual(program.end(), 0, program.errors)
            self.assertEqual(program.lines, ["ran"])
