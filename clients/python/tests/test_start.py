"""`sppm_start` and `sppm_block_start`: scripts in both known forms, driven by their options."""

import json
import os
import signal
import subprocess
import sys

from .rig import until
from .script_rig import ScriptCase

FOO = """
from time import sleep
import sppm


def foo():
    n = 0
    while True:
        print('Run %d time(s) task->%s.' % (n, "foo"))
        n += 1
        sleep(0.3)
        print('done', n)
        if sppm.signal_monitor(exit_callback, "a"):
            break


def exit_callback(*args):
    print("exit_callback", *args)


if __name__ == "__main__":
    sppm.sppm_start("foo", foo)
"""

BAR = """
from time import sleep
import sppm


def bar():
    n = 0
    while True:
        sppm.lock()
        print('Run %d time(s) task->%s.' % (n, "bar"))
        n += 1
        sleep(0.3)
        print('done', n)
        if sppm.signal_monitor():
            break


if __name__ == "__main__":
    sppm.sppm_block_start("bar", bar)
"""

LATER = """
import logging
import sys
logger = logging.getLogger()

def work(*args, **kwargs):
    sppm.working_lock(True)
    logger.debug('not shown')
    logger.info('args %s %s', args, sorted(kwargs.items()))
    sppm.working_lock(False)
    while not sppm.signal_monitor():
        sppm.wait_stop()

if __name__ == "__main__":
    import sppm
    sppm.sppm_start(work, 'the help', 7, key='value')
"""


class Forms(ScriptCase):
    def test_the_documents_first_script(self) -> None:
        self.write(FOO)
        self.works("--start")
        self.logged("Run 0")
        self.assertIn("foo is running", self.works("--status"))
        self.works("--stop")
        lines = self.file("log/foo.log").splitlines()
        self.assertEqual(lines[-1], "exit_callback a")
        self.assertTrue(lines[-2].startswith("done"), lines)
        self.assertEqual(self.calls(), ["start foo", "status foo", "shutdown"])

    def test_the_documents_second_script(self) -> None:
        self.write(BAR)
        self.works("--start")
        self.logged("Run 0", "log/bar.log")
        self.works("--restart")
        self.works("--reload")
        self.works("--stop")
        log = self.file("log/bar.log")
        self.assertEqual(log.count("Run"), log.count("done"), "no task was cut")
        self.assertEqual(self.calls(), ["start bar", "restart bar", "restart bar", "shutdown"])

    def test_the_later_form_gets_its_help_text_and_arguments(self) -> None:
        self.write(LATER)
        self.works("--start")
        log = self.logged("args")
        self.assertIn("[INFO] args ('the help', 7) [('key', 'value')]", log)
        self.assertNotIn("not shown", log)
        self.works("--stop")
        self.assertIn("the help", self.works("--help"))

    def test_the_log_level_reaches_the_run(self) -> None:
        self.write(LATER)
        self.works("--start", "-l", "4")
        self.logged("args")
        self.assertIn("[DEBUG] not shown", self.file("log/foo.log"))

    def test_a_function_without_room_is_called_without_the_help_text(self) -> None:
        arguments = ("work, 'the help'", "work", "'foo', work")
        calls = ("sppm.sppm_start", "sppm.sppm_block_start")
        for form in ("%s(%s)" % (call, given) for call in calls for given in arguments):
            self.write("import sppm\ndef work():\n    print('worked')\n%s\n" % form)
            self.works("--start")
            self.logged("worked")
            until(lambda: not self.pids(), "its supervisor is told to end")
            os.unlink(self.log_path())

    def log_path(self) -> str:
        config = json.loads("".join(self.file("sppm.yaml").splitlines(True)[1:]))
        return str(config["programs"]["foo"]["logs"]["stdout"])

    def test_the_options_are_the_known_ones(self) -> None:
        self.write(FOO)
        text = self.works("--help")
        known = "--start --stop --restart --reload --shutdown --status --no-daemon --debug --log-level --version"
        for option in known.split():
            self.assertIn(option, text)
        self.assertEqual(self.call()[0], 2)
        self.assertEqual(self.call("--start", "--stop")[0], 2)
        self.assertIn("v0", self.works("-v"))

    def test_wrong_use_is_an_error_that_says_so(self) -> None:
        for call in ("sppm.sppm_start('foo')", "sppm.sppm_start(7)"):
            self.write("import sppm\n%s\n" % call)
            code, _, err = self.call("--start")
            self.assertEqual(code, 1)
            self.assertIn("TypeError: sppm_start", err)


class Options(ScriptCase):
    def test_a_second_start_says_that_it_runs(self) -> None:
        self.write(FOO)
        self.works("--start")
        [pid] = self.pids()
        code, _, err = self.call("--start")
        self.assertEqual((code, err), (1, "foo runs already (pid %d)\n" % pid))
        self.assertEqual(self.pids(), [pid])

    def test_what_does_not_run_cannot_be_stopped(self) -> None:
        self.write(FOO)
        for option in ("--stop", "--shutdown", "--status"):
            code, _, err = self.call(option)
            self.assertEqual((code, err), (1, "foo does not run\n"), option)

    def test_restart_starts_what_does_not_run(self) -> None:
        self.write(FOO)
        self.works("--restart")
        self.logged("Run 0")
        self.assertEqual(self.calls(), ["start foo"])

    def test_shutdown_does_not_wait(self) -> None:
        self.write(FOO.replace("sleep(0.3)", "sleep(1000)"))
        self.works("--start")
        self.logged("Run 0")
        self.works("--shutdown")
        self.assertEqual(self.calls()[-1], "shutdown --force")
        self.assertNotIn("done", self.file("log/foo.log"))

    def test_in_the_foreground_until_an_interrupt(self) -> None:
        self.write(FOO)
        process = subprocess.Popen(
            [sys.executable, self.script, "--start", "--no-daemon"], env=self.shell(), stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        self.assertEqual(process.stdout.readline(), b"Run 0 time(s) task->foo.\n")
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read().splitlines()
        process.stdout.close()
        self.assertEqual(process.wait(), 0)
        self.assertEqual(rest[-1], b"exit_callback a")

    def test_in_the_background_with_its_output_here(self) -> None:
        self.write(FOO)
        self.works("--start")
        self.logged("Run 0")
        self.works("--stop")
        before = self.file("log/foo.log").count("\n")
        self.write(FOO.replace("Run", "Now"))
        process = subprocess.Popen([sys.executable, self.script, "--start", "--debug"], env=self.shell(), stdout=-1)
        assert process.stdout is not None
        self.assertEqual(process.wait(30), 0, "it returns at once")
        self.assertEqual(process.stdout.readline(), b"Now 0 time(s) task->foo.\n")
        self.assertGreater(before, 1)
        self.works("--stop")
        self.assertEqual(process.stdout.read().splitlines()[-1], b"exit_callback a")
        process.stdout.close()

    def test_no_command_is_an_error_that_helps(self) -> None:
        self.write(FOO)
        code, _, err = self.call("--start", env=dict(self.alone(), PATH="/none"))
        self.assertEqual(code, 127)
        self.assertRegex(err, "^error: the command `sppm` is not on PATH.*SPPM_BIN")
        code, _, err = self.call("--start", env=dict(self.shell(), SPPM_BIN="/none/sppm"))
        self.assertEqual(code, 127)
        self.assertIn("$SPPM_BIN names `/none/sppm`", err)
        self.works("--start", env=dict(self.alone(), SPPM_BIN=self.bin))
        self.logged("Run 0")

    def test_a_supervisor_whose_program_has_ended_is_replaced(self) -> None:
        self.write(FOO)
        self.works("--start")
        self.logged("Run 0")
        self.kill()
        self.works("--start")
        self.assertEqual(self.calls(), ["start foo", "shutdown", "start foo"])
        self.logged("Run 0")

    def test_under_a_supervisor_of_its_own_file_a_start_is_the_work(self) -> None:
        self.write("import sppm\ndef work(): print('worked', sppm.signal_monitor())\nsppm.sppm_start('foo', work)\n")
        environment = dict(self.environment(), PATH="/none")
        self.assertEqual(self.works("--start", env=environment, start_new_session=True), "worked False\n")
        self.assertEqual(self.works("--start", "--no-daemon", env=environment), "worked False\n")


class Configuration(ScriptCase):
    def config(self) -> "dict[str, object]":
        head, body = self.file("sppm.yaml").split("\n{", 1)
        self.assertTrue(all(line.startswith("#") for line in head.splitlines()))
        return dict(json.loads("{" + body))

    def test_it_says_where_it_was_started_and_how(self) -> None:
        odd = os.path.join(self.folder, 'a $HOME 爬虫 "x"')
        os.mkdir(odd)
        self.write(FOO)
        self.works("--start", cwd=odd)
        self.logged("Run 0")
        config = self.config()
        program = config["programs"]["foo"]  # type: ignore[index]
        self.assertEqual(program["directory"], odd.replace("$", "$$"))
        self.assertEqual(program["command"], [sys.executable, "-u", self.script, "--start"])
        self.assertEqual(program["restart"], "on-failure")
        self.assertEqual(program["stop"], {"timeout": "3650d"}, "as long as the task in hand takes")
        self.assertEqual(program["working_lock"], {"kind": "auto", "on_stop": "signal"})
        folder = os.path.dirname(program["environment"]["SPPM_SCRIPT"])
        self.assertEqual(os.stat(folder).st_mode & 0o777, 0o700)

    def test_the_mark_is_not_handed_on(self) -> None:
        self.write("import os, sppm\ndef w(): print('mark', 'SPPM_SCRIPT' in os.environ)\nsppm.sppm_start('foo', w)\n")
        self.works("--start")
        self.assertEqual(self.logged("mark"), "mark False\n")

    def test_two_tasks_and_two_settings_files_are_two_programs(self) -> None:
        self.write(FOO.replace('"foo", foo)', '__import__("os").environ["TASK"], foo)'))
        for task in ("one", "two"):
            self.works("--start", env=dict(self.shell(), TASK=task))
        settings = os.path.join(self.folder, "other_env")
        log = os.path.join(self.folder, "other.log")
        self.write("pid=/tmp/p\nchild_pid=/tmp/c\nlock=/tmp/l\nlog=%s\ntimeout=7\n" % log, settings)
        self.works("--start", env=dict(self.shell(), TASK="one", SPPM_ENV=settings))
        self.assertEqual(len(self.pids()), 3)
        until(lambda: os.path.exists(log) and os.path.getsize(log), "its output is in the log of its settings")

    def test_the_timeout_of_the_settings_limits_a_stop(self) -> None:
        self.write(FOO)
        self.write("log=/dev/null\n\nnonsense\ntimeout=7\n", os.path.join(self.folder, ".sppm_env"))
        self.works("--start")
        program = self.config()["programs"]["foo"]  # type: ignore[index]
        self.assertEqual(program["stop"], {"timeout": "7s"})
        gate = {"kind": "auto", "on_stop": "signal", "max_busy": "7s", "then": "kill"}
        self.assertEqual(program["working_lock"], gate)

    def test_names_become_names_of_programs(self) -> None:
        from sppm import _script

        cases = [("foo", "foo"), ("a b/c", "a-b-c"), ("爬虫", "script-"), ("all", "script-all"), ("_x", "x")]
        for given, wanted in cases:
            self.assertEqual(_script._program_name(given), wanted)
        self.assertEqual(len(_script._program_name("x" * 99)), 63)

    def test_a_module_is_started_as_a_module(self) -> None:
        package = os.path.join(self.folder, "pack")
        os.mkdir(package)
        self.write("", os.path.join(package, "__init__.py"))
        self.write("VALUE = 7\n", os.path.join(package, "other.py"))
        text = "from .other import VALUE\nimport sppm\nsppm.sppm_start('foo', lambda: print('value', VALUE))\n"
        self.write(text, os.path.join(package, "__main__.py"))
        command = [sys.executable, "-m", "pack", "--start"]
        subprocess.run(command, env=self.shell(), cwd=self.folder, check=True, timeout=30)
        self.assertEqual(self.logged("value"), "value 7\n")
