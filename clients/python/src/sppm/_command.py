"""Driving the real command, ``sppm``."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import Any, Dict, List, Optional

from . import _environment

NO_SUPERVISOR = 69
"""The command's exit code where no supervisor runs for the file."""

INTERRUPTED = 130


class CommandMissing(Exception):
    """There is no ``sppm`` here."""

    exit_code = 127


class CommandFailed(Exception):
    """``sppm`` could not say how things are."""

    def __init__(self, text: str, exit_code: int) -> None:
        super().__init__(text)
        self.exit_code = exit_code


def find() -> str:
    """The path of the command: ``$SPPM_BIN``, else the first on PATH."""
    given = _environment.variable("SPPM_BIN")
    if given is not None:
        found = shutil.which(given)
        if found is None:
            raise CommandMissing("$SPPM_BIN names `%s`, which is not a program that can be run" % given)
        return os.path.abspath(found)
    found = shutil.which("sppm")
    if found is None:
        raise CommandMissing(
            "the command `sppm` is not on PATH; this script is run by it: install sppm, or set SPPM_BIN to its path"
        )
    return os.path.abspath(found)


def run(config: str, *arguments: str) -> int:
    """Runs ``sppm -c config …`` with this process's input and output; gives its exit code.

    Ctrl-C reaches the command as well: it says what goes on without it.
    """
    process = subprocess.Popen([find(), "-c", config, *arguments])
    while True:
        try:
            code = process.wait()
            return code if code >= 0 else 128 - code
        except KeyboardInterrupt:
            continue


def ask(config: str, *arguments: str) -> Optional[Dict[str, Any]]:
    """What ``sppm -c config --json …`` answers; None where no supervisor runs."""
    done = subprocess.run(
        [find(), "-c", config, "--json", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False
    )
    if done.returncode == NO_SUPERVISOR:
        return None
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        said = done.stderr.decode("utf-8", "replace").strip()
        raise CommandFailed(said or "`sppm %s` said nothing" % " ".join(arguments), done.returncode or 1)
    return answer


def quietly(config: str, *arguments: str) -> bool:
    """Runs it without any output; whether it succeeded."""
    command: List[str] = [find(), "-c", config, "--quiet", *arguments]
    return subprocess.call(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0
