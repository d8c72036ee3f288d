"""The filter behind `--debug`."""

import os
import unittest

from sppm import _skip


class Skip(unittest.TestCase):
    def copied(self, skip: int, text: bytes) -> bytes:
        source, write = os.pipe()
        read, target = os.pipe()
        os.write(write, text)
        os.close(write)
        _skip.copy(skip, source, target)
        os.close(source)
        os.close(target)
        with os.fdopen(read, "rb") as file:
            return file.read()

    def test_the_first_lines_are_left_out(self) -> None:
        for skip, wanted in ((0, b"a\n\nb\nc"), (1, b"\nb\nc"), (2, b"b\nc"), (3, b"c"), (4, b"")):
            self.assertEqual(self.copied(skip, b"a\n\nb\nc"), wanted)
