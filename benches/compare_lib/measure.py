"""What is measured, each with the limit right beside it."""

import os
import signal
import statistics
import subprocess
import time

from .contenders import Bare
from .tools import Unmeasured, Watched, cpu_seconds, pss_mb, wait_until, wakeups

# name: unit
METRICS = {
    "start": "ms",
    "restart": "ms",
    "reload": "ms",
    "status": "ms",
    "stop": "ms",
    "memory": "MB",
    "wake-ups": "/s",
    "storm cpu": "% of a core",
    "storm starts": "/s",
    "log": "MB/s",
}
# Longer than the second after which all of them believe that a program works.
STEADY = 1.3


class Results:
    """Every sample: (size, metric, who) -> [(value, the limit beside it)], and why there is none."""

    def __init__(self):
        self.samples, self.reasons = {}, {}

    def add(self, size, metric, who, value, limit=None):
        self.samples.setdefault((size, metric, who), []).append((value, limit))

    def missed(self, size, metric, who, reason):
        self.reasons.setdefault((size, metric, who), str(reason))

    def value(self, size, metric, who):
        found = [value for value, _ in self.samples.get((size, metric, who), [])]
        return statistics.median(found) if found else None

    def ratio(self, size, metric, who):
        pairs = [(value, limit) for value, limit in self.samples.get((size, metric, who), []) if limit]
        return statistics.median([value / limit for value, limit in pairs]) if pairs else None


class Measuring:
    def __init__(self, bench, options, results, wanted, say):
        self.bench, self.options, self.results, self.wanted, self.say = bench, options, results, wanted, say

    def round(self, kind, size, limits, first):
        """One life of one supervisor. Returns its figures; `limits` are those of the bare loop just before."""
        figures, who = {}, kind(self.bench, self.options)
        who.prepare(size, "idle")
        steps = [("start", self.start), ("status", self.status), ("memory", self.memory)]
        steps += [("wake-ups", self.wakeups)] if first else []
        steps += [("restart", self.restart), ("reload", self.reload), ("stop", self.stop)]
        try:
            for metric, measure in steps:
                # The life of a supervisor begins with its start and ends with its stop, wanted or not.
                if metric not in self.wanted and metric not in ("start", "stop"):
                    continue
                try:
                    figures[metric] = measure(who)
                except (Unmeasured, subprocess.TimeoutExpired) as reason:
                    self.results.missed(size, metric, who.name, reason)
                    if metric == "start":
                        break
        finally:
            who.end()
        for metric, value in figures.items():
            beside = "restart" if metric == "reload" else metric
            self.results.add(size, metric, who.name, value, limits.get(beside))
        return figures

    def start(self, who):
        begun = time.monotonic_ns()
        who.start()
        who.wait_started(who.size, 60 + who.size / 5)
        who.steady_at = time.monotonic() + STEADY
        return (who.starts.latest - begun) / 1e6

    def status(self, who):
        time.sleep(max(0, who.steady_at - time.monotonic()))
        return statistics.median([timed(who.status) for _ in range(5)])

    def memory(self, who):
        time.sleep(max(0, who.steady_at - time.monotonic()))
        # The clients that were just answered are given the time to leave.
        time.sleep(2)
        return pss_mb(who.own_processes())

    def wakeups(self, who):
        seconds = 3 if self.options.quick else 10
        # The same, where there was no `memory` before.
        time.sleep(2)
        pids = who.own_processes()
        before = wakeups(pids)
        time.sleep(seconds)
        return (wakeups(pids) - before) / seconds

    def restart(self, who):
        samples, took = 5 if self.options.quick else 10, []
        for sample in range(samples):
            index = (sample * 7) % who.size
            pid, since = who.starts.look().last[index]
            time.sleep(max(0, since / 1e9 + STEADY - time.monotonic()))
            begun = time.monotonic_ns()
            os.kill(pid, signal.SIGKILL)
            new = wait_until(
                lambda: changed(who.starts.look().last[index], pid), 15, "a killed program was started again", 0.001
            )
            took.append((new[1] - begun) / 1e6)
        return statistics.median(took)

    def reload(self, who):
        if isinstance(who, Bare):
            raise Unmeasured("has no configuration")
        index, new = who.size // 2, 1_000_000
        since = who.starts.look().last[index][1]
        time.sleep(max(0, since / 1e9 + STEADY - time.monotonic()))
        apply = who.edit(index, new)
        begun = time.monotonic_ns()
        apply()
        found = wait_until(lambda: who.starts.look().last.get(new), 30, "the changed program was started", 0.001)
        who.starts.last.pop(index)
        return (found[1] - begun) / 1e6

    def stop(self, who):
        watched = Watched(who.starts.pids())
        begun = time.monotonic()
        who.ask_to_end()
        took = (watched.wait(60 + who.size / 5) - begun) * 1e3
        try:
            who.process.wait(30)
        except subprocess.TimeoutExpired:
            pass
        return took

    def storm(self, kind, size, limits):
        """So many programs that fail at once: what their supervisor uses, and how often it starts them."""
        seconds = 5 if self.options.quick else 20
        who = kind(self.bench, self.options)
        who.prepare(size, "fail")
        try:
            who.start()
            counted = who.starts.path
            wait_until(lambda: os.stat(counted).st_size >= size, 60 + size / 5, "all started once")
            pids = who.own_processes()
            starts, used, begun = os.stat(counted).st_size, cpu_seconds(pids), time.monotonic()
            time.sleep(seconds)
            took = time.monotonic() - begun
            figures = {
                "storm cpu": (cpu_seconds(pids) - used) / took * 100,
                "storm starts": (os.stat(counted).st_size - starts) / took,
            }
        except Unmeasured as reason:
            for metric in ("storm cpu", "storm starts"):
                self.results.missed(size, metric, who.name, reason)
            return {}
        finally:
            who.end()
        for metric, value in figures.items():
            self.results.add(size, metric, who.name, value, limits.get(metric))
        return figures

    def log(self, kind, limit):
        """Lines as fast as they are taken, into a file."""
        bytes_wanted = (64 if self.options.quick else 512) * 1024 * 1024
        who = kind(self.bench, self.options)
        who.prepare(1, f"flood {bytes_wanted}")
        try:
            who.start()
            seconds = flooded(who.starts.path, 120)
            self.results.add(1, "log", who.name, bytes_wanted / 1e6 / seconds, limit)
        except Unmeasured as reason:
            self.results.missed(1, "log", who.name, reason)
        finally:
            who.end()

    def log_limit(self):
        """The same lines through a pipe and cat(1)."""
        bytes_wanted = (64 if self.options.quick else 512) * 1024 * 1024
        folder = self.bench.new_folder("cat")
        times, out = folder / "times", folder / "out"
        command = f"exec {self.bench.actor} flood {times} {bytes_wanted} | cat > {out}"
        shell = subprocess.Popen(["sh", "-c", command], start_new_session=True)
        try:
            seconds = flooded(times, 120)
        finally:
            os.killpg(shell.pid, signal.SIGKILL)
            shell.wait()
            self.bench.new_folder("cat")
        value = bytes_wanted / 1e6 / seconds
        self.results.add(1, "log", "cat", value)
        return value


def changed(record, pid):
    return record if record[0] != pid else None


def timed(action):
    begun = time.monotonic_ns()
    action()
    return (time.monotonic_ns() - begun) / 1e6


def flooded(path, seconds):
    def both():
        text = path.read_text() if path.exists() else ""
        return text.split() if text.count("\n") >= 2 else None

    first, last = wait_until(both, seconds, "all lines were taken", 0.01)[:2]
    return (int(last) - int(first)) / 1e9
