"""Without a supervisor nothing fails."""

from .rig import RigCase


class Alone(RigCase):
    def test_every_function_has_an_answer(self) -> None:
        program = self.run_in(
            self.alone(),
            """
            sppm.working_lock(True)
            sppm.working_lock(False)
            sppm.lock()
            with sppm.task("x"), sppm.flock_task(), sppm.Channel().task():
                pass
            print(sppm.ready(), sppm.beat(), sppm.request(), sppm.status("x"))
            print(sppm.request_restart("x"), sppm.request_stop("x"))
            print(sppm.publish("t", 1), sppm.stop_wanted(), sppm.wait_stop(0), sppm.signal_monitor())
            print(sppm.subscribe("t").get(0.01), sppm.Channel().busy())
            sppm.shared["k"] = 1
            print(dict(sppm.shared), sppm.inherited_sockets())
            """,
        )
        self.assertEqual(program.end(), 0, program.errors)
        wanted = ["False False False False", "False False", "0 None None False", "None False", "{'k': 1} {}"]
        self.assertEqual(program.lines, wanted)
        self.assertEqual(program.errors, b"")

    def test_a_folder_that_is_gone_is_no_error_either(self) -> None:
        gone = {name: "/none/x" for name in ("SPPM_LOCK", "SPPM_NOTIFY", "SPPM_SOCKET")}
        program = self.program(
            """
            sppm.working_lock(True)
            sppm.working_lock(False)
            with sppm.task("x"), sppm.flock_task():
                pass
            print(sppm.ready(), sppm.stop_wanted())
        """,
            **gone,
        )
        self.assertEqual(program.end(), 0, program.errors)
        self.assertEqual((program.lines, program.errors), (["False None"], b""))
