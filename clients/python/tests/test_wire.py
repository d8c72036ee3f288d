"""Names, data and answers."""

import unittest

from sppm import _wire


class Wire(unittest.TestCase):
    def test_names_are_checked(self) -> None:
        for good in ("a", "A/b-c_d.e", "7", "x" * 128):
            self.assertEqual(_wire.name(good), good)
        for bad in ("", " a", "a b", "a\n", ".a", "*", "ä", "x" * 129):
            with self.assertRaises(ValueError):
                _wire.name(bad)
        self.assertEqual(_wire.pattern("*"), "*")
        with self.assertRaises(ValueError):
            _wire.pattern("a b*")

    def test_patterns_match_any_run_of_characters(self) -> None:
        cases = [
            ("a*", "ab/c", True),
            ("a*", "ba", False),
            ("*/x", "a/b/x", True),
            ("a.b", "axb", False),
            ("a", "ab", False),
        ]
        for pattern, topic, matches in cases:
            self.assertEqual(bool(_wire.matcher(pattern).match(topic)), matches, (pattern, topic))

    def test_data_survives_on_one_line(self) -> None:
        for value in (None, True, 7, 1.5, "a b\nc\u2028d", "爬虫", "\ud800", [1, {"a": []}], ""):
            line = _wire.encode(value)
            self.assertNotIn("\n", line)
            self.assertEqual(_wire.decode(line.encode("utf-8").decode("utf-8")), value)
        self.assertEqual(_wire.decode("plain text"), "plain text")
        with self.assertRaises(ValueError):
            _wire.encode(float("nan"))

    def test_data_that_is_too_large_is_refused_here(self) -> None:
        _wire.encode("x" * (_wire.LONGEST_DATA - 2))
        with self.assertRaises(_wire.ChannelError) as caught:
            _wire.encode("ä" * (_wire.LONGEST_DATA // 2))
        self.assertEqual(caught.exception.code, "too-large")

    def test_pushes_are_told_from_answers(self) -> None:
        self.assertEqual(_wire.push("msg t web.1 a b  c"), _wire.Push("msg", "t", "web.1", "a b  c"))
        self.assertEqual(_wire.push("msg t operator "), _wire.Push("msg", "t", "operator", ""))
        self.assertEqual(_wire.push("missed 3"), _wire.Push("missed", "3", "", ""))
        self.assertEqual(
            _wire.push("stop restart the file has changed"), _wire.Push("stop", "restart", "", "the file has changed")
        )
        for answer in ("ok", "ok 3", "none", "value 1 msg", "keys msg", "error usage msg"):
            self.assertIsNone(_wire.push(answer), answer)

    def test_errors_carry_their_code(self) -> None:
        self.assertEqual(_wire.operand("value 1 a b", "value"), "1 a b")
        self.assertEqual(_wire.operand("ok", "ok"), "")
        with self.assertRaises(_wire.ChannelError) as caught:
            _wire.operand("error full 1,024 keys", "ok")
        self.assertEqual((caught.exception.code, caught.exception.text), ("full", "1,024 keys"))
        with self.assertRaises(_wire.ChannelError):
            _wire.operand("nonsense", "ok")
