"""Scripts and a terminal: one that ends, and one in which Ctrl-C is pressed. And what is left of scripts that were killed."""

import glob
import json
import os
import re
import signal
import sys
from typing import List

from .real_rig import RealCase
from .rig import until
from .terminal import Terminal
from .test_real import ASKS, MARKS


class TerminalCase(RealCase):
    def terminal(self, *command: str) -> Terminal:
        terminal = Terminal(list(command), self.shell(), self.folder)
        self.addCleanup(terminal.close)
        self.addCleanup(self.kill)  # before that: what it left behind may sit there
        return terminal

    def config(self) -> str:
        [config] = glob.glob(os.path.join(self.folder, "sppm/scripts/*/sppm.yaml"))
        return config

    def all_pids(self) -> List[int]:
        """Keeper, supervisor and program, in the order in which nothing is started again."""
        status = json.loads(self.sppm(self.config(), "status", "--json").stdout)
        [program] = status["programs"]
        [instance] = program["instances"]
        return [status["supervisor"]["keeper_pid"], status["supervisor"]["pid"], instance["pid"]]


class TheEnd(TerminalCase):
    def outlives(self, text: str, start: str, stop: str) -> None:
        self.write(text)
        shell = self.terminal("/bin/sh", "-c", '"$0" foo.py %s && echo "started: $?" && read answer' % start, sys.executable)
        shell.says("started: 0")
        self.logged("begin 0")
        shell.hang_up()
        self.assertNotEqual(shell.end(), 0, "the shell has ended with its terminal")
        self.let_go()
        self.logged("begin 1")
        self.assertEqual(self.lines(), ["begin 0", "end 0", "begin 1"])
        call = self.beside(stop)
        self.logged("told 1")
        self.let_go()
        self.assertEqual(call.end(), 0, call.errors)

    def test_a_daemon_outlives_the_terminal(self) -> None:
        self.outlives(MARKS, "start", "stop")

    def test_a_script_outlives_the_terminal(self) -> None:
        self.outlives(ASKS, "--start", "--stop")


class ControlC(TerminalCase):
    def foreground(self) -> Terminal:
        self.write(ASKS)
        terminal = self.terminal(sys.executable, "foo.py", "--start", "--no-daemon")
        terminal.says("begin 0")
        terminal.press_control_c()
        terminal.says("told 0")
        return terminal

    def test_the_first_waits_for_the_task(self) -> None:
        terminal = self.foreground()
        self.assertIsNone(terminal.process.poll(), "it waits")
        self.let_go()
        self.assertEqual(terminal.end(), 0, terminal.lines())
        terminal.says("callback")
        shown = [line for line in terminal.lines() if line in ("begin 0", "told 0", "end 0", "callback", "begin 1")]
        self.assertEqual(shown, ["begin 0", "told 0", "end 0", "callback"])

    def test_the_second_does_not(self) -> None:
        terminal = self.foreground()
        terminal.press_control_c()
        terminal.end()
        self.assertNotIn("end 0", terminal.lines())


class Killed(TerminalCase):
    def test_a_stale_pid_file_does_no_harm(self) -> None:
        self.write(MARKS)
        self.works("start")
        self.logged("begin 0")
        pids = self.all_pids()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        until(lambda: self.call("status")[0] == 1, "nothing runs")
        with open(self.go + ".pid", encoding="ascii") as file:
            self.assertEqual(int(file.read()), pids[2], "it was left behind")
        self.works("start")
        until(lambda: self.lines() == ["begin 0"] * 2, "it runs again")
        again = self.all_pids()
        self.assertFalse(set(pids) & set(again), (pids, again))
        with open(self.go + ".pid", encoding="ascii") as file:
            self.assertEqual(int(file.read()), again[2])
        code, _, err = self.call("start")
        self.assertEqual(code, 1)
        self.assertTrue(re.fullmatch(r"foo runs already \(pid %d\)\n" % again[2], err), err)
        call = self.beside("stop")
        self.logged("told 0")
        self.let_go()
        self.assertEqual(call.end(), 0, call.errors)
        self.assertEqual(self.lines(), ["begin 0"] * 2 + ["told 0", "end 0"])
