"""A class that becomes a program in the background: `spider.py start | stop | restart | status`."""

import os
from time import sleep

import sppm

pause = float(os.environ.get("PAGE", "1"))


class Spider(sppm.Daemon):
    """Crawls for ever."""

    def run(self):
        n = 0
        while True:
            with sppm.task("page %d" % n):
                print("begin %d" % n)
                sleep(pause)
                print("end %d" % n)
            n += 1


if __name__ == "__main__":
    Spider().main()
