"""Topics, marks and reconnection, against a fake supervisor."""

import threading
import time
from typing import List
from unittest import mock

import sppm
from sppm import _subscription

from .fake_socket import RUN, FakeSocket
from .rig import RigCase, until


class ChannelCase(RigCase):
    def setUp(self) -> None:
        super().setUp()
        self.fake: FakeSocket = self.serve()

    def channel(self, **options: float) -> sppm.Channel:
        channel = sppm.Channel(self.fake.path, RUN, **options)
        self.addCleanup(channel.close)
        return channel


class Topics(ChannelCase):
    def test_messages_come_in_order_with_their_sender(self) -> None:
        one, two = self.channel(), self.channel()
        with one.subscribe("jobs/*") as jobs:
            self.assertEqual(two.publish("other", 1), 0)
            for n in range(100):
                self.assertEqual(two.publish("jobs/%d" % n, {"n": n, "text": "a b\nc 爬虫"}), 1)
            for n in range(100):
                message = next(jobs)
                self.assertEqual((message.topic, message.sender), ("jobs/%d" % n, "prog.2"))
                self.assertEqual(message.data, {"n": n, "text": "a b\nc 爬虫"})
            self.assertIsNone(jobs.get(0.01))
        self.assertEqual(list(jobs), [])

    def test_text_from_a_shell_is_given_as_it_is(self) -> None:
        subscription = self.channel().subscribe("t")
        self.fake.connections[0].send("msg t operator hello  world")
        self.fake.connections[0].send("msg t operator ")
        self.assertEqual(next(subscription), sppm.Message("t", "operator", "hello  world"))
        self.assertEqual(next(subscription).data, "")

    def test_callbacks_may_publish_and_may_fail(self) -> None:
        channel = self.channel()
        heard: List[int] = []
        done = threading.Event()

        def hear(message: sppm.Message) -> None:
            heard.append(message.data)
            if message.data == 1:
                raise ValueError("one")
            if message.data < 5:
                channel.publish("count", message.data + 1)
            else:
                done.set()

        channel.subscribe("count", hear)
        with self.assertLogs("sppm", "ERROR"):
            channel.publish("count", 1)
            channel.publish("count", 2)
            self.assertTrue(done.wait(30))
        self.assertEqual(heard, [1, 2, 3, 4, 5])

    def test_overlapping_subscriptions_each_get_their_own(self) -> None:
        channel = self.channel()
        exact, wide, again = channel.subscribe("a/b"), channel.subscribe("a/*"), channel.subscribe("a/*")
        channel.publish("a/b", 1)
        self.assertEqual([next(s).data for s in (exact, wide, again)], [1, 1, 1])
        again.close()
        channel.publish("a/c", 2)
        self.assertEqual(next(wide).data, 2)
        self.assertNotIn("unsub a/*", self.fake.lines)
        wide.close()
        self.fake.until(lambda: "unsub a/*" in self.fake.lines)

    def test_lost_messages_are_counted(self) -> None:
        subscription = self.channel().subscribe("t")
        self.fake.connections[0].send("missed 7")
        with mock.patch.object(_subscription, "KEPT", 3):
            for n in range(5):
                self.fake._pub(self.fake.connections[0], "t %d" % n)
            self.channel().publish("t", 5)
            self.assertEqual(self.drained(subscription, 5), [3, 4, 5])
        self.assertEqual(subscription.missed, 7 + 3)

    def drained(self, subscription: sppm.Subscription, last: int) -> List[int]:
        while not subscription._kept or subscription._kept[-1].data != last:
            time.sleep(0.001)
        return [next(subscription).data for _ in range(3)]

    def test_requests_of_many_threads_get_their_own_answers(self) -> None:
        channel = self.channel()
        shared = sppm.Shared(channel)
        wrong: List[object] = []

        def work(name: str) -> None:
            for n in range(50):
                shared[name] = n
                if shared[name] != n:
                    wrong.append((name, n))

        threads = [threading.Thread(target=work, args=("key-%d" % i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])

    def test_wrong_names_and_data_are_refused_before_anything_is_sent(self) -> None:
        channel = self.channel()
        for wrong in (lambda: channel.publish("a b", 1), lambda: channel.subscribe("a\n")):
            self.assertRaises(ValueError, wrong)
        self.assertRaises(TypeError, lambda: channel.publish("a", object()))
        self.assertEqual(self.fake.lines, [])


class Reconnection(ChannelCase):
    def test_what_lasts_is_said_again(self) -> None:
        channel = self.channel()
        subscription = channel.subscribe("t*")
        self.assertTrue(channel.busy("crawl example.org"))
        self.assertEqual(self.fake.busy(), ["crawl example.org"])
        self.fake.stop()
        self.fake.start()
        self.fake.until(lambda: self.fake.greeted == 2 and self.fake.busy() == ["crawl example.org"])
        self.assertEqual(channel.publish("t1", "x"), 1)
        self.assertEqual(next(subscription).data, "x")
        self.assertTrue(channel.idle())
        self.fake.drop()
        self.fake.until(lambda: self.fake.greeted == 3 and self.fake.connections)
        self.assertEqual(channel.publish("t1", "y"), 1)
        self.assertEqual(self.fake.busy(), [])

    def test_busy_is_back_well_within_the_grace(self) -> None:
        channel = self.channel()
        channel.busy()
        self.fake.stop()
        time.sleep(0.6)  # as long as a supervisor is away
        start = time.monotonic()
        self.fake.start()
        self.fake.until(lambda: self.fake.busy() == [""])
        self.assertLess(time.monotonic() - start, 10)

    def test_a_look_whose_answer_was_lost_is_asked_again(self) -> None:
        shared = sppm.Shared(self.channel())
        shared["k"] = 1
        self.fake.answers["get"] = None
        self.assertEqual(shared["k"], 1)
        self.assertEqual(self.fake.lines.count("get k"), 2)

    def test_what_must_not_be_done_twice_is_not(self) -> None:
        channel = self.channel()
        shared = sppm.Shared(channel)
        self.fake.answers.update(pub=None, cas=None)
        with self.assertRaises(sppm.Unavailable):
            channel.publish("t", 1)
        with self.assertRaises(ConnectionError):
            shared.compare_and_set("k", 0, 1)
        said = [line.split()[0] for line in self.fake.lines]
        self.assertEqual((said.count("pub"), said.count("cas")), (1, 1))

    def test_requests_wait_for_a_supervisor_that_is_away_and_not_for_ever(self) -> None:
        channel = self.channel(timeout=30)
        self.fake.stop()
        threading.Timer(0.2, self.fake.start).start()
        self.assertEqual(channel.publish("t", 1), 0)
        self.fake.stop()
        with self.assertRaises(sppm.Unavailable):
            self.channel(timeout=0.1).publish("t", 1)

    def test_a_subscription_may_begin_before_the_supervisor_is_back(self) -> None:
        self.fake.stop()
        channel = self.channel(timeout=0.05)
        subscription = channel.subscribe("t")
        self.fake.start()
        self.fake.until(lambda: any(c.hears("t") for c in self.fake.connections))
        self.channel().publish("t", 1)
        self.assertEqual(next(subscription).data, 1)

    def test_a_foreign_run_is_told_why(self) -> None:
        channel = sppm.Channel(self.fake.path, "another", timeout=0.05)
        self.addCleanup(channel.close)

        def trouble() -> str:
            with self.assertRaises(sppm.Unavailable) as caught:
                channel.publish("t", 1)
            return caught.exception.text

        until(lambda: "no such run" in trouble(), "the supervisor's own words")

    def test_a_closed_channel_says_so(self) -> None:
        channel = self.channel()
        subscription = channel.subscribe("t")
        channel.close()
        self.assertEqual(list(subscription), [])
        with self.assertRaisesRegex(sppm.Unavailable, "closed"):
            channel.publish("t", 1)
        self.fake.until(lambda: not self.fake.connections)


class Marks(ChannelCase):
    def test_a_task_is_busy_on_its_own_connection(self) -> None:
        one, two = self.channel(), self.channel()
        with one.task("a"):
            with two.task("b"), one.task("inner"):
                self.assertEqual(sorted(self.fake.busy()), ["a", "b"])
            self.assertEqual(self.fake.busy(), ["a"])
        self.assertEqual(self.fake.busy(), [])
        for line in ("busy a", "busy b"):
            self.assertEqual(self.fake.lines.count(line), 1)

    def test_a_forked_child_begins_anew_and_leaves_the_parents_connection_alone(self) -> None:
        program = self.run_in(
            self.environment(),
            """
            channel = sppm.Channel()
            channel.subscribe("t")
            with channel.task("parent"):
                sppm.publish("up", 1)
                pid = os.fork()
                if pid == 0:
                    with channel.task("child"):
                        print("in child", flush=True)
                        sys.stdin.readline()
                    os._exit(0)
                print(os.waitpid(pid, 0)[1], flush=True)
                print(channel.publish("t", 1))
            """,
            stdin=-1,
        )
        program.says("in child")
        self.fake.until(lambda: sorted(self.fake.busy()) == ["child", "parent"])
        assert program.process.stdin is not None
        program.process.stdin.close()
        self.assertEqual(program.end(), 0, program.errors)
        self.assertEqual(program.lines[-2:], ["0", "1"], "the parent's subscription and connection go on")
        self.fake.until(lambda: not self.fake.connections)

    def test_a_long_text_is_cut(self) -> None:
        self.assertTrue(self.channel().busy("x" * 100_000))
        self.assertEqual([len(what) for what in self.fake.busy()], [1000])

    def test_no_mark_is_no_reason_to_fail(self) -> None:
        self.fake.stop()
        channel = self.channel(timeout=0.05)
        self.assertFalse(channel.busy())
        with channel.task():
            pass


class Default(ChannelCase):
    def test_the_modules_functions_share_one_connection(self) -> None:
        program = self.program("""
            messages = sppm.subscribe("t")
            sppm.shared["k"] = [1]
            print(sppm.publish("t", sppm.shared["k"]))
            print(next(messages).data)
        """)
        self.assertEqual(program.end(), 0, program.errors)
        self.assertEqual(program.lines, ["1", "[1]"])
        self.assertEqual(self.fake.greeted, 1)

    def test_iterating_ends_at_a_signal(self) -> None:
        program = self.program("""
            sppm.signal_monitor()
            for message in sppm.subscribe("t"):
                print(message.data)
            print("over", sppm.signal_monitor())
        """)
        self.fake.until(lambda: any(c.hears("t") for c in self.fake.connections))
        self.channel().publish("t", "one")
        program.says("one")
        program.send()
        self.assertEqual(program.end(), 0, program.errors)
        self.assertEqual(program.lines, ["one", "over True"])
