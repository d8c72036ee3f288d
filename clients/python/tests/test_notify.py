"""Lines into the FIFO, and the mark in the file."""

import os
import time
from unittest import mock

import sppm
from sppm import _busy, _notify

from .rig import RigCase


class Notify(RigCase):
    def setUp(self) -> None:
        super().setUp()
        patch = mock.patch.dict(os.environ, self.environment())
        patch.start()
        self.addCleanup(patch.stop)

    def test_each_function_writes_its_line(self) -> None:
        said = [sppm.ready(), sppm.beat(), sppm.request(), sppm.status("at page 7")]
        said += [sppm.request_restart("new\nmodel"), sppm.request_restart(), sppm.request_stop("done")]
        self.assertEqual(said, [True] * 7)
        wanted = ["ready", "beat", "request", "status at page 7", "restart-me new model", "restart-me", "stop-me done"]
        self.assertEqual(self.fifo_lines(), wanted)

    def test_a_long_text_is_cut_between_characters(self) -> None:
        self.assertTrue(sppm.status("界" * 3000))
        [line] = self.fifo_lines()
        self.assertEqual(set(line[len("status ") :]), {"界"})
        self.assertLessEqual(len(line.encode()) + 1, 4096)
        self.assertGreater(len(line.encode()) + 1, 4092)

    def test_a_full_fifo_costs_a_line_and_no_exception(self) -> None:
        while _notify.send("beat"):
            pass
        self.assertFalse(sppm.beat())
        with mock.patch.object(_notify, "PATIENCE", 0.05):
            self.assertFalse(sppm.ready())
        self.assertGreater(len(self.fifo_lines()), 1000)
        self.assertTrue(sppm.ready())

    def test_no_reader_and_no_fifo_are_no_error(self) -> None:
        with mock.patch.dict(os.environ, {"SPPM_NOTIFY": os.path.join(self.folder, "none")}):
            self.assertFalse(sppm.ready())
        os.mkfifo(os.path.join(self.folder, "deaf"))
        with mock.patch.dict(os.environ, {"SPPM_NOTIFY": os.path.join(self.folder, "deaf")}):
            self.assertFalse(sppm.ready())


class Marks(RigCase):
    def setUp(self) -> None:
        super().setUp()
        patch = mock.patch.dict(os.environ, self.environment())
        patch.start()
        self.addCleanup(patch.stop)

    def test_the_file_has_three_lines_and_is_replaced_whole(self) -> None:
        before = os.stat(self.lock).st_ino
        start = time.time()
        sppm.working_lock(True)
        self.assertNotEqual(os.stat(self.lock).st_ino, before)
        with open(self.lock, "rb") as file:
            text = file.read()
        self.assertTrue(text.endswith(b"\n1\n") and text.count(b"\n") == 3, text)
        pid, stamp, _ = self.state()
        self.assertEqual(int(pid), os.getpid())
        self.assertTrue(start - 1 <= float(stamp) <= time.time() + 1)
        sppm.working_lock(False)
        self.assertFalse(self.is_busy())
        self.assertEqual(sorted(os.listdir(self.folder)), ["lock", "notify"])

    def test_lock_without_argument_marks_idle(self) -> None:
        sppm.lock(True)
        self.assertTrue(self.is_busy())
        sppm.lock()
        self.assertFalse(self.is_busy())

    def test_nested_tasks_and_marks_are_busy_until_the_last(self) -> None:
        with sppm.task():
            with sppm.task():
                self.assertTrue(self.is_busy())
            self.assertTrue(self.is_busy())
            sppm.working_lock(True)
        self.assertTrue(self.is_busy())
        with sppm.task():
            sppm.working_lock(False)
            self.assertTrue(self.is_busy())
        self.assertFalse(self.is_busy())

    def test_a_task_that_raises_is_over(self) -> None:
        with self.assertRaises(KeyError), sppm.task():
            raise KeyError
        self.assertFalse(self.is_busy())

    def test_task_decorates_functions(self) -> None:
        @sppm.task("crawl")
        def work() -> bool:
            return self.is_busy()

        self.assertTrue(work())
        self.assertFalse(self.is_busy())

    def test_the_mark_takes_the_fifo_where_the_file_cannot_be_written(self) -> None:
        with mock.patch.dict(os.environ, {"SPPM_LOCK": os.path.join(self.folder, "gone", "lock")}):
            sppm.working_lock(True)
            sppm.working_lock(False)
        self.assertEqual(self.fifo_lines(), ["busy", "idle"])

    def test_a_link_is_not_followed_when_written_in_place(self) -> None:
        target = os.path.join(self.folder, "target")
        link = os.path.join(self.folder, "link")
        open(target, "wb").close()
        os.symlink(target, link)
        with mock.patch("os.rename", side_effect=OSError):
            self.assertFalse(_busy.write(link, True))
        self.assertEqual(os.stat(target).st_size, 0)
        with mock.patch("os.rename", side_effect=OSError):
            self.assertTrue(_busy.write(target, True))
        self.assertGreater(os.stat(target).st_size, 0)
        self.assertEqual(sorted(os.listdir(self.folder)), ["link", "lock", "notify", "target"])

    def test_tasks_without_a_gap_leave_one_now_and_then(self) -> None:
        with mock.patch("time.sleep") as sleep:
            end = time.monotonic() + 0.5
            while time.monotonic() < end:
                with sppm.task():
                    pass
        self.assertTrue(1 <= sleep.call_count <= 11, sleep.call_count)
        self.assertTrue(all(0 < call.args[0] <= 0.001 for call in sleep.call_args_list))
