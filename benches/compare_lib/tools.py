"""Processes and files: what the kernel says of a process tree, the programs built from C, and cleaning up."""

import ctypes
import os
import resource
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PR_SET_CHILD_SUBREAPER = 36
TICKS = os.sysconf("SC_CLK_TCK")


class Unmeasured(Exception):
    """A cell that has no figure; its text is the reason."""


class Bench:
    """A temporary folder, in memory where that can be, and the programs in it."""

    def __init__(self):
        # Every descendant stays ours to find and to end, also one whose parent died.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        memory = Path("/dev/shm")
        usable = memory.is_dir() and os.access(memory, os.W_OK)
        self.folder = Path(tempfile.mkdtemp(prefix="sppm-bench-", dir=memory if usable else "/tmp"))
        self.folder.chmod(0o755)
        self.run_existed = Path("/run/sppm").exists()
        try:
            self.actor = self.build("actor", "-static")
            self.bare = self.build("bare", "-pthread")
        except Exception:
            self.close()
            raise

    def build(self, name, *flags):
        binary = self.folder / name
        subprocess.run(["cc", "-O2", *flags, "-o", binary, HERE / f"{name}.c"], check=True)
        return binary

    def new_folder(self, name):
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder

    def close(self):
        end_descendants()
        shutil.rmtree(self.folder, ignore_errors=True)
        if not self.run_existed:
            for folder in ("/run/sppm/by-path", "/run/sppm"):
                try:
                    os.rmdir(folder)
                except OSError:
                    pass


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def children(pid):
    found = []
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for task in tasks:
        found += [int(word) for word in read(f"/proc/{pid}/task/{task}/children").split()]
    return found


def tree(pid):
    """`pid` and all its descendants."""
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        found.append(one)
        todo += children(one)
    return found


def supervisors(pid, actor):
    """The processes of a supervisor: its tree without the programs."""
    own = []
    for one in tree(pid):
        try:
            if os.readlink(f"/proc/{one}/exe") != str(actor):
                own.append(one)
        except OSError:
            pass
    return own


def pss_mb(pids):
    """Proportional set size, in MB (10^6 bytes)."""
    total = 0
    for pid in pids:
        for line in read(f"/proc/{pid}/smaps_rollup").splitlines():
            if line.startswith(b"Pss:"):
                total += int(line.split()[1]) * 1024
    if not total:
        raise Unmeasured("the kernel shows no smaps_rollup")
    return total / 1e6


def wakeups(pids):
    """How often all their threads have begun to wait so far."""
    total = 0
    for pid in pids:
        try:
            tasks = os.listdir(f"/proc/{pid}/task")
        except OSError:
            continue
        for task in tasks:
            for line in read(f"/proc/{pid}/task/{task}/status").splitlines():
                if line.startswith(b"voluntary_ctxt_switches"):
                    total += int(line.split()[1])
    return total


def cpu_seconds(pids):
    """User and system time of these processes, their children not counted."""
    total = 0
    for pid in pids:
        stat = read(f"/proc/{pid}/stat")
        if stat:
            fields = stat[stat.rindex(b")") + 2 :].split()
            total += int(fields[11]) + int(fields[12])
    return total / TICKS


def wait_until(done, seconds, what, pause=0.002):
    """Asks again and again; the clocks that count are elsewhere."""
    end = time.monotonic() + seconds
    while True:
        answer = done()
        if answer is not None and answer is not False:
            return answer
        if time.monotonic() > end:
            raise Unmeasured(f"{what}: not within {seconds:.0f} s")
        time.sleep(pause)


class Watched:
    """Processes that are waited for. They are looked up before anybody is asked to end, epoll tells only who has ended, and it is
    asked once a millisecond: whoever measures must not take part, neither by looking at all of them nor by being woken for each."""

    def __init__(self, pids):
        import select

        self.poller, self.left = select.epoll(), set()
        for pid in pids:
            try:
                fd = os.pidfd_open(pid)
            except OSError:
                continue
            self.left.add(fd)
            self.poller.register(fd, select.EPOLLIN)

    def wait(self, seconds):
        """When the last of them had ended, as time.monotonic() says; they are not reaped here."""
        at, all_of_them = time.monotonic(), len(self.left)
        end = at + seconds
        try:
            while self.left:
                time.sleep(0.001)
                for fd, _ in self.poller.poll(0):
                    os.close(fd)
                    self.left.discard(fd)
                at = time.monotonic()
                if at > end:
                    raise Unmeasured(f"{len(self.left)} of {all_of_them} programs live after {seconds:.0f} s")
            return at
        finally:
            self.poller.close()
            for fd in self.left:
                os.close(fd)


def end_descendants():
    """Kills and reaps whatever is left below this process."""
    for _ in range(500):
        below = tree(os.getpid())[1:]
        for pid in below:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.01)
