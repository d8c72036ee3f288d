"""Signals that ask a program to end, in real processes."""

import signal

from .rig import RigCase

TASKS = """
    for n in range({count}):
        with sppm.task("job %d" % n):
            print("begin", n)
            {body}
            print("end", n)
    print("all done")
"""

UNTIL_CAUGHT = "while sppm._signals.caught() is None: time.sleep(0.01)"


class Tasks(RigCase):
    def test_a_signal_within_a_task_waits_for_its_end(self) -> None:
        for number in (signal.SIGTERM, signal.SIGHUP):
            program = self.program(TASKS.format(count=3, body=UNTIL_CAUGHT))
            program.says("begin 0")
            self.assertTrue(self.is_busy())
            program.send(number)
            program.send(number)  # asking twice is not harder
            self.assertEqual(program.end(), 0)
            self.assertEqual(program.lines, ["begin 0", "end 0"])
            self.assertFalse(self.is_busy())

    def test_a_signal_between_two_tasks_ends_at_once_and_orderly(self) -> None:
        program = self.program("""
            try:
                with sppm.task():
                    pass
                print("idle")
                time.sleep(1000)
            finally:
                print("finally")
        """)
        program.says("idle")
        program.send()
        self.assertEqual(program.end(), 0)
        self.assertEqual(program.lines, ["idle", "finally"])

    def test_tasks_of_threads_are_finished_before_the_main_thread_leaves(self) -> None:
        program = self.program("""
            import threading
            from sppm import _signals
            def work():
                while True:
                    with sppm.task():
                        print("begin")
                        while _signals.caught() is None:
                            time.sleep(0.01)
                        print("end")
            with sppm.task():
                pass
            threading.Thread(target=work).start()
            try:
                time.sleep(1000)
            finally:
                print("main leaves")
        """)
        program.says("begin")
        program.send()
        self.assertEqual(program.end(), 0)
        self.assertEqual(program.lines, ["begin", "end", "main leaves"])

    def test_the_text_of_a_task_goes_into_the_fifo_from_the_main_process_only(self) -> None:
        program = self.program("""
            with sppm.task("crawl example.org"):
                pass
            with sppm.task():
                pass
            if os.fork() == 0:
                with sppm.task("of a helper"):
                    pass
                os._exit(0)
            os.wait()
        """)
        self.assertEqual(program.end(), 0, program.errors)
        self.assertEqual(self.fifo_lines(), ["busy crawl example.org", "idle"])

    def test_the_second_interrupt_without_a_supervisor_is_impatience(self) -> None:
        program = self.run_in(
            self.alone(),
            """
            from sppm import _signals
            with sppm.task():
                print("begin")
                while _signals.caught() is None:
                    time.sleep(0.01)
                print("goes on")
                time.sleep(1000)
            """,
        )
        program.says("begin")
        program.send(signal.SIGINT)
        program.says("goes on")
        program.send(signal.SIGINT)
        self.assertNotEqual(program.end(), 0)
        self.assertIn(b"KeyboardInterrupt", program.errors)

    def test_handlers_of_the_program_and_ignored_signals_stay(self) -> None:
        program = self.program("""
            signal.signal(signal.SIGTERM, lambda *_: print("mine"))
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            with sppm.task():
                os.kill(os.getpid(), signal.SIGTERM)
                os.kill(os.getpid(), signal.SIGHUP)
            print(sppm.signal_monitor())
        """)
        self.assertEqual(program.end(), 0)
        self.assertEqual(program.lines, ["mine", "False"])


class Monitor(RigCase):
    LOOP = """
        def exit_callback(*args):
            print("callback", *args)
        n = 0
        while True:
            if sppm.signal_monitor(exit_callback, *"ab"):
                break
            sppm.working_lock(True)
            print("begin", n)
            time.sleep(0.2)
            print("end", n)
            n += 1
            sppm.working_lock(False)
        print(sppm.signal_monitor(exit_callback, *"ab"))
    """

    def test_the_callback_is_called_once_between_two_tasks(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            program = self.program(self.LOOP)
            program.says("begin 1")
            program.send(number)
            self.assertEqual(program.end(), 0, program.errors)
            self.assertEqual(program.lines[-3:-1], ["end %d" % (len(program.lines) // 2 - 2), "callback a b"])
            self.assertEqual(program.lines[-1], "True")
            self.assertEqual(program.lines.count("callback a b"), 1)
            begun = sum(line.startswith("begin") for line in program.lines)
            self.assertEqual(begun, sum(line.startswith("end") for line in program.lines))

    def test_tasks_do_not_leave_where_the_program_asks(self) -> None:
        program = self.program("""
            while not sppm.signal_monitor(print, "callback"):
                with sppm.task():
                    os.kill(os.getpid(), signal.SIGTERM)
                print("after")
            print("end")
        """)
        self.assertEqual(program.end(), 0)
        self.assertEqual(program.lines, ["after", "callback", "end"])


class Wanted(RigCase):
    def test_a_planned_stop_is_known_before_any_signal(self) -> None:
        server = self.serve()
        program = self.program("""
            print(sppm.stop_wanted())
            stop = sppm.wait_stop()
            print(stop.kind, stop.why)
            print(sppm.stop_wanted() == stop, sppm.signal_monitor())
        """)
        program.says("None")
        server.until(lambda: any(c.waits_for_stop for c in server.connections))
        server.want_stop("restart the file has changed")
        self.assertEqual(program.end(), 0, program.errors)
        self.assertEqual(program.lines[1:], ["restart the file has changed", "True False"])

    def test_a_planned_stop_is_asked_for_again_on_a_new_connection(self) -> None:
        server = self.serve()
        program = self.program("print(sppm.wait_stop().kind)")
        server.until(lambda: any(c.waits_for_stop for c in server.connections))
        server.stop()
        server.stop_wanted = "stop by hand"
        server.start()
        program.says("stop")
        self.assertEqual(program.end(), 0)

    def test_a_signal_ends_the_wait_with_and_without_a_supervisor(self) -> None:
        for environment in (self.environment(), self.alone()):
            program = self.run_in(environment, "sppm.stop_wanted(); print('up'); print(sppm.wait_stop(1000))")
            program.says("up")
            program.send()
            program.says("Stop(kind='signal', why='SIGTERM')")
            self.assertEqual(program.end(), 0)

    def test_the_wait_ends_without_a_stop(self) -> None:
        program = self.run_in(self.alone(), "print(sppm.wait_stop(0.01), sppm.wait_stop(0))")
        self.assertEqual(program.end(), 0, program.errors)
        self.assertEqual(program.lines, ["None None"])
