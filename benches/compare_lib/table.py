"""The results as a table for people, and docs/benchmarks.md."""

import datetime
import os
import platform
from pathlib import Path

from .measure import METRICS
from .tools import read

LABELS = {
    "start": "start: all processes exist",
    "restart": "restart after kill -9, p50",
    "reload": "reload, 1 of N changed",
    "status": "status",
    "stop": "stop all",
    "memory": "memory (PSS)",
    "wake-ups": "wake-ups when idle",
    "storm cpu": "crash storm: CPU",
    "storm starts": "crash storm: starts",
    "log": "log throughput",
}


def number(value):
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


class Table:
    def __init__(self, results, sizes, names, wanted):
        self.results, self.names, self.wanted, self.notes = results, names, wanted, []
        metrics = [metric for metric in METRICS if metric in wanted and metric != "log"]
        self.rows = [(size, metric) for metric in metrics for size in sizes]
        if "log" in wanted:
            self.rows.append((1, "log"))

    def cell(self, size, metric, who):
        value = self.results.value(size, metric, who)
        if value is None:
            return self.note(self.results.reasons.get((size, metric, who), "not measured"))
        ratio = self.results.ratio(size, metric, who)
        return number(value) + (f" ({ratio:.2f}×)" if ratio is not None else "")

    def note(self, reason):
        if reason not in self.notes:
            self.notes.append(reason)
        return f"– [{self.notes.index(reason) + 1}]"

    def lines(self):
        yield ["", "N", "unit", "limit", *self.names]
        for size, metric in self.rows:
            limit = "cat" if metric == "log" else "bare"
            value = self.results.value(size, metric, limit)
            shown = "" if value is None else number(value)
            cells = [self.cell(size, metric, who) for who in self.names]
            yield [LABELS[metric], str(size), METRICS[metric], shown, *cells]

    def plain(self):
        rows = list(self.lines())
        widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
        text = ["  ".join(word.ljust(width) for word, width in zip(row, widths)).rstrip() for row in rows]
        return "\n".join(text + [f"[{at}] {reason}" for at, reason in enumerate(self.notes, 1)])

    def markdown(self):
        head, *rows = self.lines()
        text = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
        text += ["| " + " | ".join(row) + " |" for row in rows]
        return "\n".join(text + [""] + [f"[{at}] {reason}  " for at, reason in enumerate(self.notes, 1)])


def machine():
    model = "unknown processor"
    for line in read("/proc/cpuinfo").decode().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = "unknown system"
    for line in read("/etc/os-release").decode().splitlines():
        if line.startswith("PRETTY_NAME="):
            system = line.split("=", 1)[1].strip('"')
    kernel = platform.release().split("-")[0]
    return f"{model}, {os.cpu_count()} CPUs, {memory:.0f} GiB, Linux {kernel}, {system}"


PAGE = """# Benchmarks

Written by `benches/compare --write`; do not edit. All figures of a table are from one run on one machine: they say how
sppm compares there, not how fast it is elsewhere.

{table}

- Measured {date} on: {machine}. Load average at the beginning {load:.2f}.
- {versions}. sppm: {build}.
- In brackets: the ratio to the limit, measured right before the cell with the same programs. The column `limit` is the
  median of all of these. Values and ratios are medians of {rounds}.

## What is measured

The limit is `benches/compare_lib/bare.c`: posix_spawn(3) from several threads, a thread that reaps and starts again, and
nothing else: no logs, no state, no control. For the log it is `cat`. All run the same small static C program, which writes
down the time of its own start. Everything is in memory; sppm's configuration is in a folder of its own, as in /etc.

- **start**: from the start of the supervisor until the last program runs.
- **restart**: from `kill -9` of a program that was steady until its successor runs. All of
  them take a second for steady (sppm by `min_uptime: 1s`).
- **reload**: from the command (`sppm reload`, `supervisorctl update`, `s6-svc -r`, `sv restart`) until the changed program
  runs; the old one is stopped in between. s6 and runit have no configuration to compare: they are told which one. The ratio
  is to the bare loop's restart.
- **status**: the command with all programs, output into a pipe. s6 has one process per program for it.
- **stop**: from the signal to the supervisor until the last program has gone.
- **memory**: PSS of all processes of the supervisor, two seconds after the last `status`. s6 and runit run here without a logger per program, sppm and supervisor
  log each program into a file of its own.
- **wake-ups**: voluntary context switches of all threads of these processes.
- **crash storm**: N programs that exit with 1 at once: CPU of the supervisor's processes and starts per second. The bare
  loop, s6 and runit start each again after a second, supervisor after one more second each time, sppm after pauses that
  double, from half a second to a minute.
- **log**: lines of 64 bytes, written in 64 KiB blocks by one program, into a file in memory; no rotation.

## Again

```sh
cargo build --release --locked
sudo benches/compare --write            # about {minutes} minutes; installs Debian's supervisor, s6 and runit if missing
benches/compare --quick --sizes 10,100  # a look, in two minutes
cargo bench                             # the parts: core, diff, configuration, logs
```
"""


def page(table, versions, build, rounds, load, minutes):
    root = Path(__file__).resolve().parent.parent.parent
    text = PAGE.format(
        table=table.markdown(),
        date=datetime.date.today().isoformat(),
        machine=machine(),
        load=load,
        versions=versions,
        build=build,
        rounds=f"{rounds} rounds" if rounds > 1 else "one round",
        minutes=max(1, round(minutes)),
    )
    path = root / "docs" / "benchmarks.md"
    path.write_text(text)
    return path
