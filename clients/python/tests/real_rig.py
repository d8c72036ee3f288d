"""Scripts on disk, run as people run them, by the real command `sppm`: the one that `$SPPM_BIN` names."""

from __future__ import annotations

import glob
import json
import os
import re
import shutil
import subprocess
import sys
import unittest
from typing import Any, Dict, List, Optional

from .rig import LIMIT, Running, whole_lines
from .script_rig import ScriptCase


def binary() -> Optional[str]:
    """The command; None: there is none here."""
    return shutil.which(os.environ.get("SPPM_BIN") or "/none")


class RealCase(ScriptCase):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        if binary() is not None:
            return
        why = "%s needs the command sppm, built, in $SPPM_BIN (tests/run of the project does it)" % cls.__qualname__
        if "SPPM_TESTS_REQUIRE_ALL" in os.environ:
            raise AssertionError("cannot be tested: " + why)
        sys.stderr.write("SKIPPED: %s\n" % why)
        raise unittest.SkipTest(why)

    def setUp(self) -> None:
        super().setUp()
        self.bin = os.path.abspath(binary() or "")
        self.go = os.path.join(self.folder, "go")

    def shell(self) -> Dict[str, str]:
        """Somebody at a prompt, with folders of their own; sppm is not on PATH."""
        return dict(self.alone(), SPPM_BIN=self.bin, HOME=self.folder, GO=self.go)

    def beside(self, *arguments: str) -> Running:
        """A call of the script that goes on beside the test."""
        call = Running([sys.executable, self.script, *arguments], self.shell(), cwd=self.folder)
        self.addCleanup(call.close)
        self.addCleanup(self.kill)  # before that: what it left behind may hold its output
        return call

    def lines(self, log: str = "log/foo.log") -> List[str]:
        return whole_lines(self.file(log))

    def let_go(self) -> None:
        """Lets one task come to its end: the script removes the file again."""
        open(self.go, "wb").close()

    def sppm(self, config: str, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
        command = [self.bin, "-c", config, *arguments]
        return subprocess.run(
            command, env=self.shell(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LIMIT, check=False
        )

    def supervise(self, programs: Dict[str, Any]) -> str:
        """Starts a supervisor of a file with these programs, all of whose folders are below the test's own; the file."""
        folders = {name: os.path.join(self.folder, "own", name) for name in ("runtime_dir", "state_dir", "log_dir")}
        config = os.path.join(self.folder, "sppm.yaml")
        with open(config, "w", encoding="utf-8") as file:
            json.dump({"supervisor": folders, "programs": programs}, file)
        done = self.sppm(config, "start")
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return config

    def instance(self, config: str, name: str) -> Dict[str, Any]:
        """What `status --json` says of the one instance of a program."""
        status = json.loads(self.sppm(config, "status", "--json").stdout)
        [found] = [program for program in status["programs"] if program["name"] == name]
        [instance] = found["instances"]
        return dict(instance)

    def own_log(self, name: str) -> List[str]:
        """The lines that a program of `supervise` has printed."""
        try:
            with open(os.path.join(self.folder, "own/log_dir", name + ".log"), encoding="utf-8") as file:
                return whole_lines(file.read())
        except FileNotFoundError:
            return []

    def kill(self) -> None:
        own = os.path.join(self.folder, "sppm.yaml")
        if os.path.exists(own):
            self.sppm(own, "shutdown", "--force")
        for config in glob.glob(os.path.join(self.folder, "sppm/scripts/*/sppm.yaml")):
            self.sppm(config, "shutdown", "--force")
            said = self.sppm(config, "status").stderr.decode()
            # Root's folders are not below the test's own. The message that nothing runs names the socket in one.
            place = re.search(r"/run/sppm/(\w+)/sppm\.sock", said)
            if place is not None:
                shutil.rmtree("/run/sppm/" + place.group(1), ignore_errors=True)
                shutil.rmtree("/var/lib/sppm/" + place.group(1), ignore_errors=True)

    def works(self, *arguments: str, **options: Any) -> str:
        code, out, err = self.call(*arguments, **options)
        self.assertEqual(code, 0, (arguments, out, err, self.file("log/sppm.log")))
        return out
