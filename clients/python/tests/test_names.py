"""What scripts written for PyPI's `sppm` import."""

import unittest

import sppm
import sppm.master
import sppm.process_status_lock
import sppm.utils


class Names(unittest.TestCase):
    def test_what_its_modules_have_is_the_same_here(self) -> None:
        self.assertIs(sppm.utils.signal_monitor, sppm.signal_monitor)
        self.assertIs(sppm.process_status_lock.working_lock, sppm.working_lock)
        self.assertIs(sppm.process_status_lock.lock, sppm.lock)
        self.assertIs(sppm.master.sppm_start, sppm.sppm_start)
        self.assertIs(sppm.master.sppm_block_start, sppm.sppm_block_start)

    def test_all_that_is_promised_is_there(self) -> None:
        for name in sppm.__all__:
            self.assertTrue(hasattr(sppm, name), name)
