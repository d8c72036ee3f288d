"""A script that becomes a program in the background: `foo.py --start | --stop | --restart | --status`.

It asks between two tasks whether to end, so what is before `signal_monitor` is never cut in half.
"""

import os
from time import sleep

import sppm

pause = float(os.environ.get("PAGE", "1"))


def foo():
    n = 0
    while True:
        print("begin %d" % n)
        sleep(pause)
        print("end %d" % n)
        n += 1
        if sppm.signal_monitor(exit_callback, "foo"):
            break


def exit_callback(name):
    print("%s says goodbye" % name)


if __name__ == "__main__":
    sppm.sppm_start("foo", foo)
