"""A small program: copies its input without the first N lines, at once and not when a buffer is full (as tail does)."""

import os
import sys


def copy(skip: int, source: int, target: int) -> None:
    """Copies until the end of either side."""
    while True:
        chunk = os.read(source, 65_536)
        if not chunk:
            return
        while skip > 0 and chunk:
            _, end, chunk = chunk.partition(b"\n")
            skip -= len(end)
        while chunk:
            chunk = chunk[os.write(target, chunk) :]


if __name__ == "__main__":
    try:
        copy(int(sys.argv[1]), 0, 1)
    except OSError:
        pass  # the terminal is gone, and with it the reason to be
