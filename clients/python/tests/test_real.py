"""Scripts in the background under the real command, with the configuration as the package writes it.

Tasks last until the test lets them go: what comes after a stop was asked for comes late on any machine.
"""

import os
import re
import signal

from .real_rig import RealCase
from .rig import LIMIT, until

TASK = """
import os, sys, time
import sppm

def may_end():
    try:
        os.unlink(os.environ["GO"])
    except FileNotFoundError:
        return False
    return True

def task(n, stopping):
    print("begin", n)
    told = False
    while not may_end():
        if stopping() and not told:
            told = True
            print("told", n)
        time.sleep(0.01)
    print("end", n)
"""

ASKS = (
    TASK
    + """
def foo():
    n = 0
    while not sppm.signal_monitor(print, "callback"):
        sppm.working_lock(True)
        task(n, sppm.stop_wanted)
        sppm.working_lock(False)
        n += 1

sppm.sppm_start("foo", foo)
"""
)

MARKS = (
    TASK
    + """
from sppm import _signals  # stop_wanted would make it a program that asks

class Spider(sppm.Daemon):
    name = "foo"
    pidfile = os.environ["GO"] + ".pid"

    def run(self):
        n = 0
        while True:
            with sppm.task("page %d" % n):
                task(n, _signals.caught)
            n += 1

Spider().main()
"""
)

NOTHING_OFFERED = """
import os, sppm

def foo():
    print([name for name in ("SPPM_LOCK", "SPPM_NOTIFY", "SPPM_SOCKET", "SPPM_MAX_REQUESTS") if name in os.environ])
    print(sppm.ready(), sppm.beat(), sppm.request(), sppm.status("x"), sppm.request_restart(), sppm.request_stop())
    print(sppm.publish("t", 1), sppm.subscribe("t").get(0.01), sppm.Channel().busy())
    sppm.shared["k"] = 1
    with sppm.task(), sppm.flock_task(), sppm.Channel().task():
        print(dict(sppm.shared))

sppm.sppm_start("foo", foo)
"""


class Tasks(RealCase):
    def finishes_its_task(self, *request: str) -> None:
        """TERM comes within a task, the request waits, and the task comes to its end before anything else happens."""
        until(lambda: self.lines()[-1:] == ["begin 0"], "a task is in hand")
        seen = len(self.lines())
        call = self.beside(*request)
        until(lambda: len(self.lines()) > seen, "it was told")
        self.assertEqual(self.lines()[seen:], ["told 0"])
        self.assertIsNone(call.process.poll(), "it waits")
        self.let_go()
        self.assertEqual(call.end(), 0, call.errors)
        self.assertEqual(self.lines()[seen : seen + 2], ["told 0", "end 0"])

    def test_a_script_finishes_its_task_at_a_restart_and_at_a_stop(self) -> None:
        self.write(ASKS)
        self.works("--start")
        self.logged("begin 0")
        self.assertIn("foo  running", self.works("--status"))
        code, _, err = self.call("--start")
        self.assertEqual(code, 1)
        self.assertRegex(err, r"^foo runs already \(pid \d+\)\n$")
        for request in ("--restart", "--reload", "--stop"):
            with self.subTest(request):
                self.finishes_its_task(request)
        self.assertEqual(self.lines(), ["begin 0", "told 0", "end 0", "callback"] * 3)
        self.assertEqual(self.call("--status")[::2], (1, "foo does not run\n"))

    def test_a_daemon_finishes_its_task_at_a_restart_and_at_a_stop(self) -> None:
        self.write(MARKS)
        self.works("start")
        self.logged("begin 0")
        with open(self.go + ".pid", encoding="ascii") as file:
            pid = file.read().strip()
        self.assertIn("pid %s," % pid, self.works("status"))
        for request in ("restart", "stop"):
            with self.subTest(request):
                self.finishes_its_task(request)
        self.assertEqual(self.lines(), ["begin 0", "told 0", "end 0"] * 2)
        self.assertFalse(os.path.exists(self.go + ".pid"))
        for request in ("status", "stop"):
            self.assertEqual(self.call(request)[::2], (1, "foo does not run\n"))

    def test_a_shutdown_ends_even_a_stop_that_waits_for_a_task(self) -> None:
        self.write(ASKS)
        self.works("--start")
        self.logged("begin 0")
        stop = self.beside("--stop")
        self.logged("told 0")
        self.assertIsNone(stop.process.poll(), "it waits")
        self.works("--shutdown")
        self.assertEqual(stop.end(), 0, stop.errors)
        self.assertEqual(self.lines(), ["begin 0", "told 0"])

    def test_the_timeout_of_the_settings_ends_a_task_that_is_too_long(self) -> None:
        self.write(ASKS)
        self.write("timeout=1\n", os.path.join(self.folder, ".sppm_env"))
        self.works("--start")
        self.logged("begin 0")
        self.works("--stop")
        self.assertEqual(self.lines(), ["begin 0", "told 0"])


class Options(RealCase):
    def test_in_the_foreground_until_an_interrupt(self) -> None:
        self.write(ASKS)
        call = self.beside("--start", "--no-daemon")
        call.says("begin 0")
        call.send(signal.SIGINT)
        call.says("told 0")
        self.let_go()
        self.assertEqual(call.end(), 0, call.errors)
        self.assertEqual(call.lines, ["begin 0", "told 0", "end 0", "callback"])

    def test_in_the_background_with_its_output_here(self) -> None:
        self.write(ASKS)
        call = self.beside("--start", "--debug")
        call.says("begin 0")
        self.assertEqual(call.process.wait(LIMIT), 0, "it returns though the program runs on")
        stop = self.beside("--stop")
        call.says("told 0")
        self.let_go()
        self.assertEqual(stop.end(), 0, stop.errors)
        self.assertEqual(call.end(), 0, call.errors)
        self.assertEqual(call.lines[-4:], ["begin 0", "told 0", "end 0", "callback"])

    def test_its_supervisor_ends_when_the_function_returns(self) -> None:
        self.write("import sppm\nsppm.sppm_start('foo', lambda: print('worked'))\n")
        self.call("--start")  # it may have ended before the command has seen it run
        self.logged("worked")
        until(lambda: self.call("--status")[0] == 1, "its supervisor ends")
        self.assertEqual(self.lines(), ["worked"])

    def test_what_is_killed_is_started_again(self) -> None:
        self.write(ASKS)
        self.works("--start")
        self.logged("begin 0")
        pid = re.search(r"\(pid (\d+)\)", self.call("--start")[2])
        assert pid is not None
        os.kill(int(pid.group(1)), signal.SIGKILL)
        until(lambda: self.lines() == ["begin 0"] * 2, "it runs again")
        self.works("--shutdown")


class Offered(RealCase):
    def test_what_this_version_does_not_offer_does_nothing(self) -> None:
        """What README.md says of it. When a supervisor offers more, both change."""
        self.write(NOTHING_OFFERED)
        self.call("--start")
        self.logged("{'k'")
        wanted = ["['SPPM_SOCKET']", "False False False False False False", "0 None True", "{'k': 1}"]
        self.assertEqual(self.lines(), wanted)
