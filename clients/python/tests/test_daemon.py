"""`Daemon`: a subclass and its four actions."""

import os
import signal
import subprocess
import sys

from .rig import until
from .script_rig import ScriptCase

SPIDER = """
import sys, time
import sppm


class Spider(sppm.Daemon):
    '''Fetches pages.'''
    {attributes}

    def run(self):
        n = 0
        while True:
            with sppm.task():
                print("begin", n)
                time.sleep(0.3)
                print("end", n)
                n += 1


if __name__ == "__main__":
    Spider().main()
"""

CLASSIC = """
import sys, time
from sppm import Daemon

class MyDaemon(Daemon):
    def run(self):
        print("runs")
        while True:
            time.sleep(1000)

if __name__ == "__main__":
    daemon = MyDaemon({pidfile!r})
    if len(sys.argv) == 2:
        code = getattr(daemon, sys.argv[1])()
        sys.exit(code)
    print("usage: %s start|stop|restart" % sys.argv[0])
    sys.exit(2)
"""


class Daemons(ScriptCase):
    def setUp(self) -> None:
        super().setUp()
        self.pidfile = os.path.join(self.folder, "my.pid")

    def test_a_restart_and_a_stop_finish_the_task_in_hand(self) -> None:
        self.write(SPIDER.format(attributes="name = 'spider'"))
        self.works("start")
        self.logged("begin 0", "log/spider.log")
        self.assertIn("spider is running", self.works("status"))
        self.works("restart")
        self.works("stop")
        log = self.file("log/spider.log").splitlines()
        self.assertEqual(sum("begin" in line for line in log), sum("end" in line for line in log), log)
        self.assertEqual(self.calls(), ["start spider", "status spider", "restart spider", "shutdown"])

    def test_a_second_start_and_a_stop_of_nothing_say_so(self) -> None:
        self.write(SPIDER.format(attributes=""))
        self.works("start")
        [pid] = self.pids()
        self.assertEqual(self.call("start"), (1, "", "foo runs already (pid %d)\n" % pid))
        self.works("stop")
        for action in ("stop", "status"):
            self.assertEqual(self.call(action), (1, "", "foo does not run\n"))
        self.assertEqual(self.call("dance")[0], 2)
        self.assertIn("Fetches pages.", self.works("--help"))

    def test_a_script_of_the_classic_kind(self) -> None:
        self.write(CLASSIC.format(pidfile=self.pidfile))
        self.works("start")
        self.logged("runs")
        [pid] = self.pids()
        self.assertEqual(self.pid(), pid)
        self.works("stop")
        self.assertFalse(os.path.exists(self.pidfile))

    def pid(self) -> int:
        until(lambda: os.path.exists(self.pidfile), "a pid file")
        with open(self.pidfile, encoding="ascii") as file:
            return int(file.read())

    def test_the_pid_file_of_a_killed_one_does_no_harm(self) -> None:
        self.write(CLASSIC.format(pidfile=self.pidfile))
        self.works("start")
        first = self.pid()
        os.kill(first, signal.SIGKILL)
        self.assertEqual(self.pid(), first, "it is stale now")
        self.works("start")
        until(lambda: self.pid() != first, "a new pid in it")
        [second] = self.pids()
        self.assertEqual(self.pid(), second)
        self.works("stop")

    def test_it_survives_the_end_of_its_terminal(self) -> None:
        self.write(CLASSIC.format(pidfile=self.pidfile))
        command = '"%s" "%s" start; kill -HUP 0; exit' % (sys.executable, self.script)
        subprocess.run(["sh", "-c", command], env=self.shell(), start_new_session=True, check=False, timeout=30)
        os.kill(self.pid(), 0)
        self.assertIn("is running", self.works("status"))

    def test_its_supervisor_ends_when_run_returns(self) -> None:
        self.write("import sppm\nclass D(sppm.Daemon):\n    def run(self): print('ran')\nD().main()\n")
        self.works("start")
        self.logged("ran")
        until(lambda: not self.pids(), "its supervisor is told to end")
        self.assertEqual(self.calls(), ["start foo", "shutdown --no-wait"])

    def test_a_subclass_may_have_a_constructor_of_its_own(self) -> None:
        self.write("""
            import sppm
            class D(sppm.Daemon):
                name = "own"
                def __init__(self, word): self.word = word
                def run(self): print(self.word)
            D("hello").main()
        """)
        self.works("start")
        self.logged("hello", "log/own.log")
