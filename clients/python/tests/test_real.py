"""Scripts in the background under the real command, with the configuration as the package writes it.

Tasks last until the test lets them go: what comes after a stop was asked for comes late on any machine.
"""

import os
import re
import signal
import sys
from typing import Any, Dict

from .real_rig import RealCase
from .rig import LIMIT, SOURCE, Running, until

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

# Programs of an `sppm.yaml` of their own: each is handed its part of the text on its command line.

HEAD = TASK + """
def loop(busy):
    n = 0
    while sppm.stop_wanted() is None:
        with busy():
            task(n, sppm.stop_wanted)
        n += 1
    print(*sppm.stop_wanted())
"""

WAYS = {
    "state": "loop(sppm.task)",
    "flock": "loop(sppm.flock_task)",
    "channel": "loop(sppm.Channel().task)",
}

OFFERED = """
names = ("SPPM_LOCK", "SPPM_NOTIFY", "SPPM_SOCKET", "SPPM_ENV", "NOTIFY_SOCKET", "WATCHDOG_USEC")
print([name for name in names if name not in os.environ], os.path.getsize(os.environ["SPPM_LOCK"]))
print(sppm.ready(), sppm.beat(), sppm.request(), sppm.status("page 7"))
channel = sppm.Channel()
with sppm.subscribe("t/*") as subscription:
    print(sppm.publish("t/x", {"n": 1}))
    message = subscription.get(30)
    print(message.topic, message.sender, message.data)
sppm.shared["k"] = 1
print(sppm.shared.change("k", lambda n: n + 1), sorted(sppm.shared.keys()))
sppm.wait_stop()
"""

# PyPI's library in short: it reads `$SPPM_ENV`, takes nothing but `KEY=VALUE` lines with absolute paths there, and
# truncates and writes the lock's file.
PYPI = """
settings = {}
for line in open(os.environ["SPPM_ENV"]):
    key, value = line.strip().split("=", 1)
    settings[key] = value
assert int(settings["timeout"]) >= 0
assert all(os.path.isabs(settings[key]) for key in ("pid", "child_pid", "lock", "log")), settings

def working_lock(is_active):
    with open(settings["lock"], "w") as file:
        file.write("%d\\n" % os.getpid())
        file.write("%f\\n" % time.time())
        file.write("%d\\n" % is_active)

n = 0
while True:
    working_lock(True)
    task(n, lambda: False)
    working_lock(False)
    time.sleep(0.05)
    n += 1
"""

RESTARTS = """
while not may_end():
    time.sleep(0.01)  # `start` is done by then: it would wait for the restart as well
if sppm.shared.get("runs", 0) == 0:
    with sppm.task():
        print(sppm.request_restart("a new model"))
        sppm.shared["runs"] = 1
        task(0, lambda: False)
sppm.wait_stop()
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


class Own(RealCase):
    """Programs of an `sppm.yaml` of their own, under all that the supervisor offers."""

    def program(self, text: str, **keys: Any) -> Dict[str, Any]:
        environment = {"PYTHONPATH": SOURCE, "PYTHONDONTWRITEBYTECODE": "1", "GO": self.go}
        path = os.path.join(self.folder, "program%d.py" % len(os.listdir(self.folder)))
        self.write(HEAD + text, path)
        # A task that waits must not be cut by a timeout, nor a test that fails wait for ever.
        return dict({"command": [sys.executable, "-u", path], "environment": environment}, **keys)

    def until_busy(self, config: str, name: str) -> Dict[str, Any]:
        def look() -> Any:
            instance = self.instance(config, name)
            return instance["busy"] and instance

        return dict(until(look, "%s is busy" % name))

    def waits_for_its_task(self, name: str, program: Dict[str, Any], told: bool) -> None:
        """A restart and a stop: no signal comes before the task in hand is done, and no other task begins."""
        config = self.supervise({name: program})
        for request in ("restart", "stop"):
            until(lambda: self.own_log(name)[-1:] == ["begin 0"], "a task is in hand")
            pid = self.until_busy(config, name)["pid"]
            seen = len(self.own_log(name))
            call = Running([self.bin, "-c", config, request, name], self.shell())
            self.addCleanup(call.close)
            until(lambda: self.instance(config, name)["phase"] == "draining", "it waits for the task")
            if told:
                until(lambda: self.own_log(name)[seen:] == ["told 0"], "it was told")
            self.assertEqual(self.instance(config, name)["pid"], pid)
            self.let_go()
            self.assertEqual(call.end(), 0, call.errors)
            lines = self.own_log(name)[seen:]
            wanted = ["told 0", "end 0"] if told else ["end 0"]
            self.assertEqual(lines[: len(wanted)], wanted)
            self.assertNotIn("begin 1", lines)
            self.assertNotEqual(self.instance(config, name)["pid"], pid)

    def test_a_task_marked_by_its_state_is_waited_for(self) -> None:
        self.waits_for_its_task("state", self.program(WAYS["state"]), told=True)

    def test_a_task_under_the_kernel_lock_is_waited_for(self) -> None:
        gate = {"kind": "flock"}
        self.waits_for_its_task("flock", self.program(WAYS["flock"], working_lock=gate), told=True)

    def test_a_task_marked_on_a_channel_is_waited_for(self) -> None:
        self.waits_for_its_task("channel", self.program(WAYS["channel"]), told=True)

    def test_a_task_marked_by_the_library_of_pypi_is_waited_for(self) -> None:
        self.waits_for_its_task("pypi", self.program(PYPI), told=False)

    def test_everything_is_offered(self) -> None:
        config = self.supervise({"every": self.program(OFFERED, ready="notify", watchdog="30s")})
        until(lambda: len(self.own_log("every")) == 5, "it has said all")
        wanted = ["[] 0", "True True True True", "1", "t/x every {'n': 1}", "2 ['k']"]
        self.assertEqual(self.own_log("every"), wanted)
        self.assertIs(self.instance(config, "every")["ready"], True)

    def test_a_program_asks_for_its_own_restart_which_waits_for_its_task(self) -> None:
        config = self.supervise({"own": self.program(RESTARTS)})
        self.let_go()
        until(lambda: self.own_log("own") == ["True", "begin 0"], "it has asked")
        first = self.until_busy(config, "own")["pid"]
        self.let_go()
        until(lambda: self.instance(config, "own")["pid"] not in (None, first), "it runs again")
        self.assertEqual(self.own_log("own"), ["True", "begin 0", "end 0"])
