#!/usr/bin/env python3
"""Stands for the command `sppm` in the tests of scripts: `sppm -c FILE [--json] [--quiet] VERB …`.

It starts the one program of FILE as the real one would (a session of its own, its output into the log, its signal to
end and then its end), and notes each call in `calls` beside FILE. It has no supervisor process: that the pid file
exists means that one runs.
"""

import json
import os
import signal
import subprocess
import sys
import time

ARGUMENTS = [word for word in sys.argv[3:] if word not in ("--json", "--quiet")]
FILE = sys.argv[2]
FOLDER = os.path.dirname(FILE)
PID_FILE = os.path.join(FOLDER, "fake.pid")


def pid():
    try:
        with open(PID_FILE) as file:
            return int(file.read())
    except FileNotFoundError:
        return None


def alive(number):
    try:
        with open("/proc/%d/stat" % number) as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def launch(name, program):
    assert set(program) <= {"command", "directory", "environment", "restart", "stop", "working_lock", "logs"}, program
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SPPM_")}
    environment.update(SPPM_NAME=name, SPPM_INSTANCE=name, SPPM_RUN="1", SPPM_LOCK=os.path.join(FOLDER, "lock"))
    environment.update({k: v.replace("$$", "$") for k, v in program["environment"].items()})
    log = program["logs"]["stdout"].replace("$$", "$")
    if log == "inherit":
        output = None
    else:
        os.makedirs(os.path.dirname(log), exist_ok=True)
        output = open(log, "ab")
    child = subprocess.Popen(
        [word.replace("$$", "$") for word in program["command"]],
        cwd=program["directory"].replace("$$", "$"),
        env=environment,
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
    )
    with open(PID_FILE, "w") as file:
        file.write(str(child.pid))
    return child


def end(number, force):
    if alive(number):
        os.kill(number, signal.SIGKILL if force else signal.SIGTERM)
    while alive(number):
        time.sleep(0.01)


def follow(log, number):
    with open(log) as file:
        while True:
            last = not alive(number)
            sys.stdout.write(file.read())
            sys.stdout.flush()
            if last:
                return
            time.sleep(0.02)


def main():
    with open(FILE) as file:
        config = json.loads("".join(line for line in file if not line.startswith("#")))
    [(name, program)] = config["programs"].items()
    with open(os.path.join(FOLDER, "calls"), "a") as file:
        file.write(" ".join(ARGUMENTS) + "\n")
    verb, options, number = ARGUMENTS[0], ARGUMENTS[1:], pid()
    if verb in ("start", "run"):
        assert number is None, "it runs"
        child = launch(name, program)
        if verb == "run":
            signal.signal(signal.SIGINT, lambda *_: child.terminate())
            child.wait()
            os.unlink(PID_FILE)
        return 0
    if number is None:
        return 69
    if verb == "status" and "--json" in sys.argv:
        phase = "running" if alive(number) else "stopped"
        print(json.dumps({"programs": [{"name": name, "phase": phase, "instances": [{"pid": number}]}]}))
    elif verb == "status":
        print("%s is %s, pid %d" % (name, "running" if alive(number) else "stopped", number))
    elif verb == "restart":
        end(number, False)
        launch(name, program)
    elif verb == "shutdown":
        if "--no-wait" not in options:
            end(number, "--force" in options)
        os.unlink(PID_FILE)
    elif verb == "logs":
        follow(program["logs"]["stdout"].replace("$$", "$"), number)
    return 0


sys.exit(main())
