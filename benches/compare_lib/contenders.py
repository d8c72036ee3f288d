"""Those who are compared: how each is configured, started, asked, edited and ended."""

import os
import shutil
import signal
import subprocess

from .tools import Unmeasured, end_descendants, supervisors, wait_until

PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/command"


class Starts:
    """What the programs themselves say of their starts: the file that each appends a line to."""

    def __init__(self, path):
        self.path, self.at, self.last, self.count, self.latest = path, 0, {}, 0, 0
        path.touch()
        path.chmod(0o666)

    def look(self):
        if os.stat(self.path).st_size == self.at:
            return self
        with open(self.path, "rb") as file:
            file.seek(self.at)
            new = file.read()
        new = new[: new.rindex(b"\n") + 1] if b"\n" in new else b""
        self.at += len(new)
        for line in new.splitlines():
            index, pid, nanos = map(int, line.split())
            self.last[index] = (pid, nanos)
            self.latest = max(self.latest, nanos)
            self.count += 1
        return self

    def pids(self):
        return [pid for pid, _ in self.look().last.values()]


class Contender:
    """One supervisor. `start` may be called once per object."""

    name = "?"
    needs = ()
    stop_signal = signal.SIGTERM
    restarts_by_itself = True

    def __init__(self, bench, options):
        self.bench, self.options, self.process = bench, options, None

    @classmethod
    def reason_absent(cls, options):
        gone = [command for command in cls.needs if not shutil.which(command, path=PATH)]
        return f"{', '.join(gone)} not installed" if gone else None

    @classmethod
    def version(cls, options):
        return "installed"

    def prepare(self, size, mode):
        """`mode`: `idle`, `fail`, or `flood BYTES`."""
        self.size, self.mode = size, mode.split()[0]
        self.folder = self.bench.new_folder(f"life-{self.name}")
        self.starts = Starts(self.folder / "starts")
        self.words = [(self.mode, str(self.starts.path), mode.split()[-1] if " " in mode else None)] * size
        self.configure()

    def argv(self, index):
        """The command of one program; a new index makes it a different one."""
        mode, log, last = self.words[0]
        return [str(self.bench.actor), mode, log, last or str(index)]

    def interpreter_line(self, index):
        return "#!" + self.argv(0)[0] + " " + " ".join(self.argv(index)[1:]) + "\n"

    def launch(self, argv, **more):
        said = open(self.folder / "said", "ab")
        with said:
            self.process = subprocess.Popen(
                [str(word) for word in argv],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                cwd=self.folder,
                env=dict(os.environ, PATH=PATH),
                start_new_session=True,
                **more,
            )

    def command(self, argv):
        """A client's command, its output thrown away through a pipe as a reader would take it."""
        done = subprocess.run(
            [str(word) for word in argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self.folder,
            env=dict(os.environ, PATH=PATH),
            timeout=120,
        )
        if done.returncode != 0:
            last = done.stdout.decode(errors="replace").strip().splitlines()[-1:] or ["nothing said"]
            raise Unmeasured(f"`{argv[0]} …` exits with {done.returncode}: {last[0][:80]}")

    def wait_started(self, count, seconds):
        def all_there():
            if self.process.poll() is not None:
                raise Unmeasured(f"it ended with {self.process.returncode}: {self.last_words()}")
            return self.starts.look().count >= count

        wait_until(all_there, seconds, f"{count} programs started")

    def last_words(self):
        text = (self.folder / "said").read_text(errors="replace").strip()
        return text.splitlines()[-1][:100] if text else "nothing said"

    def own_processes(self):
        return supervisors(self.process.pid, self.bench.actor)

    def ask_to_end(self):
        self.process.send_signal(self.stop_signal)

    def end(self):
        """Whatever state it is in, nothing of it is there afterwards."""
        if self.process is not None and self.process.poll() is None:
            try:
                self.ask_to_end()
                self.process.wait(30)
            except (subprocess.TimeoutExpired, OSError):
                pass
        end_descendants()
        if self.process is not None:
            self.process.poll()
        shutil.rmtree(self.folder, ignore_errors=True)

    def status(self):
        raise Unmeasured("has no status")

    def edit(self, index, new):
        raise Unmeasured("has no configuration")


class Bare(Contender):
    name = "bare"

    def configure(self):
        pass

    def start(self):
        threads = max(2, 2 * (os.cpu_count() or 1))
        actor, mode, log, _ = self.argv(0)
        self.launch([self.bench.bare, threads, self.size, actor, mode, log])


class Sppm(Contender):
    name = "sppm"

    @classmethod
    def reason_absent(cls, options):
        return None if os.access(options.sppm, os.X_OK) else f"{options.sppm} is not built"

    @classmethod
    def version(cls, options):
        done = subprocess.run([options.sppm, "--version"], capture_output=True, text=True, check=True)
        return done.stdout.split()[-1]

    def configure(self):
        # A folder of its own, as /etc/sppm is: nobody else writes there.
        self.file = self.folder / "etc" / "sppm.yaml"
        self.file.parent.mkdir()
        self.indices = list(range(self.size))
        self.write()

    def write(self):
        state = self.folder / "s"
        lines = [
            "supervisor: { runtime_dir: %s/r, state_dir: %s/s, log_dir: %s/l }" % ((state,) * 3),
            "defaults: { logs: { max_size: 4GiB }, restart: { min_uptime: 1s } }",
            "programs:",
        ]
        lines += [f"  p{at}: {{ command: [{', '.join(self.argv(index))}] }}" for at, index in enumerate(self.indices)]
        self.file.write_text("\n".join(lines) + "\n")

    def start(self):
        self.launch([self.options.sppm, "run", "-c", self.file])

    def status(self):
        self.command([self.options.sppm, "status", "-c", self.file])

    def edit(self, index, new):
        self.indices[index] = new
        self.write()
        return lambda: self.command([self.options.sppm, "reload", "-c", self.file])


class Supervisord(Contender):
    name = "supervisor"
    needs = ("supervisord", "supervisorctl")

    @classmethod
    def version(cls, options):
        done = subprocess.run(["supervisord", "--version"], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def configure(self):
        self.file = self.folder / "supervisord.conf"
        self.indices = list(range(self.size))
        self.write()

    def write(self):
        folder = self.folder
        lines = [
            f"[unix_http_server]\nfile={folder}/sock",
            f"[supervisord]\nnodaemon=true\nlogfile={folder}/log\npidfile={folder}/pid\nchildlogdir={folder}",
            f"minfds={8 * self.size + 1024}\nuser=root" if os.geteuid() == 0 else f"minfds={4 * self.size + 100}",
            "[rpcinterface:supervisor]",
            "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
            f"[supervisorctl]\nserverurl=unix://{folder}/sock",
        ]
        for at, index in enumerate(self.indices):
            lines += [
                f"[program:p{at}]\ncommand={' '.join(self.argv(index))}",
                f"autorestart=true\nstartretries=1000000\nredirect_stderr=true\nstdout_logfile={folder}/p{at}.log",
                "stdout_logfile_maxbytes=0",
            ]
        self.file.write_text("\n".join(lines) + "\n")

    def start(self):
        self.launch(["supervisord", "-c", self.file])

    def status(self):
        self.command(["supervisorctl", "-c", self.file, "status"])

    def edit(self, index, new):
        self.indices[index] = new
        self.write()
        return lambda: self.command(["supervisorctl", "-c", self.file, "update"])


class Directories(Contender):
    """s6 and runit: a folder with a `run` for each program."""

    def configure(self):
        self.scan = self.folder / "scan"
        self.scan.mkdir()
        for index in range(self.size):
            self.service(index).mkdir()
            self.write_run(self.service(index), self.interpreter_line(index))
        if self.mode == "flood":
            log = self.service(0) / "log"
            log.mkdir()
            (self.folder / "logs").mkdir()
            self.write_run(log, self.logger())

    def service(self, index):
        return self.scan / f"p{index}"

    @staticmethod
    def write_run(folder, text):
        new = folder / "run.new"
        new.write_text(text)
        new.chmod(0o755)
        new.rename(folder / "run")

    def edit(self, index, new):
        self.write_run(self.service(index), self.interpreter_line(new))
        return lambda: self.command([*self.restart_command, self.service(index)])


class S6(Directories):
    name = "s6"
    needs = ("s6-svscan", "s6-svc", "s6-svstat")
    restart_command = ("s6-svc", "-r")

    def logger(self):
        return f"#!/bin/sh\nexec s6-log -b n3 s268435455 {self.folder}/logs\n"

    def start(self):
        self.launch(["s6-svscan", "-c", self.size + 10, self.scan])

    def status(self):
        self.command(["sh", "-c", f"for d in {self.scan}/*; do s6-svstat $d; done"])


class Runit(Directories):
    name = "runit"
    needs = ("runsvdir", "runsv", "sv")
    stop_signal = signal.SIGHUP
    restart_command = ("sv", "restart")

    def logger(self):
        (self.folder / "logs" / "config").write_text("s2147483647\n")
        return f"#!/bin/sh\nexec svlogd {self.folder}/logs\n"

    def start(self):
        self.launch(["runsvdir", "-P", self.scan])

    def status(self):
        self.command(["sh", "-c", f"exec sv status {self.scan}/*"])


CONTENDERS = [Sppm, Supervisord, S6, Runit]
