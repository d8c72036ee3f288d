"""Scripts on disk, run as people run them, with a fake `sppm`."""

from __future__ import annotations

import glob
import os
import subprocess
import sys
import textwrap
from typing import Any, Dict, List, Optional, Tuple

from .rig import LIMIT, RigCase, until, whole_lines

FAKE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake_sppm.py")


class ScriptCase(RigCase):
    def setUp(self) -> None:
        super().setUp()
        self.bin = os.path.join(self.folder, "bin", "sppm")
        os.mkdir(os.path.dirname(self.bin))
        with open(self.bin, "w", encoding="utf-8") as file:
            file.write('#!/bin/sh\nexec "%s" "%s" "$@"\n' % (sys.executable, FAKE))
        os.chmod(self.bin, 0o755)
        self.script = os.path.join(self.folder, "foo.py")
        self.addCleanup(self.kill)

    def kill(self) -> None:
        for number in self.pids():
            try:
                os.kill(number, 9)
            except ProcessLookupError:
                pass

    def pids(self) -> List[int]:
        found = []
        for path in glob.glob(os.path.join(self.folder, "sppm/scripts/*/fake.pid")):
            with open(path, encoding="ascii") as file:
                found.append(int(file.read()))
        return found

    def write(self, text: str, path: Optional[str] = None) -> None:
        with open(path or self.script, "w", encoding="utf-8") as file:
            file.write(textwrap.dedent(text))

    def shell(self) -> Dict[str, str]:
        """The environment of somebody at a prompt."""
        environment = self.alone()
        environment["PATH"] = os.path.dirname(self.bin) + ":" + environment.get("PATH", "/usr/bin:/bin")
        return environment

    def call(self, *arguments: str, **options: Any) -> Tuple[int, str, str]:
        """The exit code, output and error output of the script."""
        command = [sys.executable, options.pop("script", self.script), *arguments]
        options.setdefault("env", self.shell())
        options.setdefault("cwd", self.folder)
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LIMIT, check=False, **options
        )
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def works(self, *arguments: str, **options: Any) -> str:
        code, out, err = self.call(*arguments, **options)
        self.assertEqual(code, 0, (arguments, out, err))
        return out

    def file(self, name: str) -> str:
        """A file in the script's own folder."""
        for path in glob.glob(os.path.join(self.folder, "sppm/scripts/*", name)):
            with open(path, encoding="utf-8") as file:
                return file.read()
        return ""

    def logged(self, text: str, log: str = "log/foo.log") -> str:
        """Waits for a line with that text; the log's whole lines."""
        return until(lambda: self._with(text, log), "%r in the log" % text)

    def _with(self, text: str, log: str) -> str:
        lines = whole_lines(self.file(log))
        return "".join(line + "\n" for line in lines) if any(text in line for line in lines) else ""

    def calls(self) -> List[str]:
        """What the command was asked to do, without the questions."""
        return [line for line in self.file("calls").splitlines() if line != "status"]
