"""The store, with a fake supervisor and without any."""

from typing import Any, Dict
from unittest import mock

import sppm
from sppm._channel import Channel

from .fake_socket import RUN
from .rig import RigCase


class Store(RigCase):
    def remote(self) -> sppm.Shared:
        if self.server is None:
            self.serve()
        assert self.server is not None
        channel = Channel(self.server.path, RUN)
        self.addCleanup(channel.close)
        return sppm.Shared(channel)

    def local(self) -> sppm.Shared:
        with mock.patch.dict("os.environ", self.alone(), clear=True):
            return sppm.Shared(Channel())

    def test_it_is_a_dictionary_in_both_ways(self) -> None:
        for shared in (self.remote(), self.local()):
            shared["b"] = {"x": [1, None, "text with  spaces"]}
            shared["a/1"] = 1
            self.assertEqual(shared["b"], {"x": [1, None, "text with  spaces"]})
            self.assertEqual((shared.get("none"), shared.get("none", 7)), (None, 7))
            self.assertEqual((list(shared), len(shared)), (["a/1", "b"], 2))
            self.assertEqual(list(shared.keys("a")), ["a/1"])
            self.assertEqual(dict(shared)["a/1"], 1)
            self.assertIn("a/1", shared)
            self.assertNotIn("c", shared)
            del shared["b"]
            self.assertEqual((shared.delete("b"), shared.delete("a/1"), list(shared)), (False, True, []))
            for wrong in (lambda: shared["b"], lambda: shared.__delitem__("b")):
                self.assertRaises(KeyError, wrong)
            self.assertRaises(ValueError, lambda: shared["a b"])

    def test_versions_and_compare_and_set(self) -> None:
        for shared in (self.remote(), self.local()):
            self.assertIsNone(shared.get_versioned("k"))
            self.assertIsNone(shared.compare_and_set("k", 3, "x"))
            self.assertEqual(shared.compare_and_set("k", 0, "a"), 1)
            self.assertIsNone(shared.compare_and_set("k", 0, "b"))
            self.assertEqual(shared.set("k", "c"), 2)
            self.assertEqual(shared.compare_and_set("k", 2, "d"), 3)
            self.assertEqual(shared.get_versioned("k"), sppm.Versioned(3, "d"))
            shared.delete("k")
            self.assertEqual(shared.set("k", "e"), 4, "a version is never used twice")

    def test_change_goes_on_until_nobody_was_faster(self) -> None:
        for one in (self.remote(), self.local()):
            other = self.remote() if one._remote() is not None else one
            seen: Dict[str, Any] = {"times": 0}

            def add(value: int) -> int:
                seen["times"] += 1
                if seen["times"] == 1:
                    other["n"] = 10
                return value + 1

            self.assertEqual(one.change("n", add, 0), 11)
            self.assertEqual((one["n"], seen["times"]), (11, 2))

    def test_a_full_store_is_an_error_with_its_code(self) -> None:
        shared = self.remote()
        assert self.server is not None
        self.server.answers["set"] = "error full 1,024 keys"
        with self.assertRaises(sppm.ChannelError) as caught:
            shared["k"] = 1
        self.assertEqual(caught.exception.code, "full")
        shared["k"] = 1
