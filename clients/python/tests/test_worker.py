"""The loop of a worker, in real processes."""

import os
import socket
import subprocess
import sys
import unittest

from .rig import SOURCE, Program, RigCase

WORKER = """
class Mine(sppm.Worker):
    def setup(self): print("setup")
    def init_process(self): print("init_process")
    def handle_request(self):
        print("request", self.handled)
        {body}
    def stop(self): print("stop")
{extra}
Mine().main()
"""


class Workers(RigCase):
    def worker(self, body: str = "pass", extra: str = "", **more: str) -> Program:
        return self.program(WORKER.format(body=body, extra=extra), **more)

    def test_it_asks_to_be_replaced_after_its_requests_and_takes_no_more(self) -> None:
        program = self.worker(SPPM_MAX_REQUESTS="3")
        lines = []
        while "restart-me 3 requests are done" not in lines:
            lines += self.fifo_lines()
            self.assertIsNone(program.process.poll(), program.errors)
        self.assertEqual(lines, ["ready", "request", "request", "request", "restart-me 3 requests are done"])
        program.send()
        self.assertEqual(program.end(), 0)
        self.assertEqual(program.lines, ["setup", "init_process", "request 0", "request 1", "request 2", "stop"])
        self.assertFalse(self.is_busy())

    def test_without_a_supervisor_it_ends_after_them(self) -> None:
        program = self.run_in(self.alone(), WORKER.format(body="pass", extra="Mine.max_requests = 2"))
        self.assertEqual(program.end(), 0, program.errors)
        self.assertEqual(program.lines, ["setup", "init_process", "request 0", "request 1", "stop"])

    def test_a_signal_within_a_request_waits_for_its_end(self) -> None:
        body = "os.kill(os.getpid(), signal.SIGTERM); print('finished')"
        program = self.worker(body)
        self.assertEqual(program.end(), 0, program.errors)
        self.assertEqual(program.lines[2:], ["request 0", "finished", "stop"])

    def test_a_signal_ends_the_wait_for_a_request_at_once(self) -> None:
        extra = "def wait(self):\n    print('waits')\n    time.sleep(1000)\nMine.wait_request = wait"
        program = self.worker(extra=extra)
        program.says("waits")
        self.assertFalse(self.is_busy())
        program.send()
        self.assertEqual(program.end(), 0, program.errors)
        self.assertEqual(program.lines, ["setup", "init_process", "waits", "stop"])

    def test_what_a_request_raises_ends_it_orderly(self) -> None:
        program = self.worker("raise ValueError('no')")
        self.assertEqual(program.end(), 1)
        self.assertIn(b"ValueError: no", program.errors)
        self.assertEqual(program.lines[-1], "stop")
        self.assertFalse(self.is_busy())
        self.assertEqual(self.fifo_lines(), ["ready"])

    def test_requests_are_busy_one_by_one(self) -> None:
        body = "print(open(os.environ['SPPM_LOCK']).read().split()[2])"
        program = self.worker(body, "Mine.max_requests = 2", SPPM_NOTIFY="/none")
        self.assertEqual(program.end(), 0, program.errors)
        self.assertEqual(program.lines.count("1"), 2)


class Sockets(unittest.TestCase):
    def test_sockets_are_found_by_name_and_only_by_their_owner(self) -> None:
        with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as unix:
            tcp.bind(("127.0.0.1", 0))
            text = (
                "import os, sys; os.environ['LISTEN_PID'] = sys.argv[1].replace('own', str(os.getpid()))\n"
                "import sppm\n"
                "found = sppm.inherited_sockets().items()\n"
                "print(sorted((n, s.family.name, os.get_inheritable(s.fileno())) for n, s in found))"
            )
            for owner, wanted in (("own", b"[('1', 'AF_UNIX', False), ('http', 'AF_INET', False)]\n"), ("1", b"[]\n")):
                self.assertEqual(self.ask(text, owner, tcp.fileno(), unix.fileno()), wanted)

    def ask(self, text: str, owner: str, first: int, second: int) -> bytes:
        """The answer of a process that has the two as its descriptors 3 and 4."""

        def place() -> None:
            for source, number in ((first, 103), (second, 104), (103, 3), (104, 4)):
                os.dup2(source, number)

        environment = dict(os.environ, PYTHONPATH=SOURCE, LISTEN_FDS="2", LISTEN_FDNAMES="http")
        return subprocess.run(
            [sys.executable, "-c", text, owner],
            env=environment,
            stdout=subprocess.PIPE,
            close_fds=False,
            preexec_fn=place,
            check=True,
        ).stdout
