"""Walks a web site for ever and prints a line for each page. Ends between two pages when it gets TERM."""

import os
import re
import signal
import sys
import time
import urllib.parse
import urllib.request

stopping = False


def stop(_signal, _frame):
    global stopping
    stopping = True


def links(url, text):
    """The absolute addresses of all links of a page, on the same site only."""
    found = (urllib.parse.urljoin(url, link) for link in re.findall(r'href="([^"]+)"', text))
    return [link for link in found if urllib.parse.urlsplit(link).netloc == urllib.parse.urlsplit(url).netloc]


def main():
    signal.signal(signal.SIGTERM, stop)
    start = sys.argv[1]
    pause = float(os.environ.get("PAUSE", "1"))
    waiting = [start]
    while not stopping:
        url = waiting.pop(0)
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                text = answer.read().decode("utf-8", "replace")
            print(f"{url}: {len(text)} characters")
            waiting.extend(link for link in links(url, text) if link not in waiting)
        except OSError as error:
            print(f"{url}: {error}", file=sys.stderr)
        if not waiting:
            waiting.append(start)
        time.sleep(pause)
    print("stopped between two pages")


main()
