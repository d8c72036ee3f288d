"""The same for a script of the older kind, with `sppm.lock()` at the begin of each task."""

import os
from time import sleep

import sppm

pause = float(os.environ.get("PAGE", "1"))


def bar():
    n = 0
    while True:
        sppm.lock()
        print("begin %d" % n)
        sleep(pause)
        print("end %d" % n)
        n += 1
        if sppm.signal_monitor():
            break


if __name__ == "__main__":
    sppm.sppm_block_start("bar", bar)
