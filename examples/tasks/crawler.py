"""Fetches pages, each of which is a task. Needs no signal handler: it is signalled only between two of them."""

import os
import time

import sppm

page = float(os.environ.get("PAGE", "1"))
n = 0
while True:
    n += 1
    with sppm.task("page %d" % n):
        print("begin", n)
        time.sleep(page)
        print("end", n)
    time.sleep(0.1)
