"""The package as people get it: sdist and wheel are built, and the wheel works in an environment of its own."""

import importlib.util
import os
import subprocess
import sys
import tarfile
import tempfile
import unittest
import zipfile
from typing import List

import sppm

PROJECT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
STEM = "sppm_supervisor-" + sppm.__version__


class Build(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        if importlib.util.find_spec("hatchling") is not None:
            return
        why = "%s needs hatchling (Debian: python3-hatchling) for %s" % (cls.__qualname__, sys.executable)
        if "SPPM_TESTS_REQUIRE_ALL" in os.environ:
            raise AssertionError("cannot be tested: " + why)
        sys.stderr.write("SKIPPED: %s\n" % why)
        raise unittest.SkipTest(why)

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="sppm-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def run_in(self, folder: str, *command: str) -> str:
        # The package under test must come from the wheel, and the build must be a release like any other.
        clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "SOURCE_DATE_EPOCH")}
        both = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        done = subprocess.run(command, cwd=folder, env=clean, timeout=120, check=False, **both)  # type: ignore[call-overload]
        said = str(done.stdout.decode())
        self.assertEqual(done.returncode, 0, said)
        return said

    def build(self, source: str, target: str) -> str:
        """Builds it from the folder `source`; gives the path of what came out."""
        out = os.path.join(self.folder, "dist")
        self.run_in(source, sys.executable, "-m", "hatchling", "build", "-t", target, "-d", out)
        end = {"sdist": ".tar.gz", "wheel": "-py3-none-any.whl"}[target]
        return os.path.join(out, STEM + end)

    def modules(self, names: List[str], below: str) -> List[str]:
        return sorted(name for name in names if name.startswith(below) and not name.endswith(".pyc"))

    def test_a_wheel_from_the_sdist_works_where_it_is_installed(self) -> None:
        sdist = self.build(PROJECT, "sdist")
        with tarfile.open(sdist) as archive:
            names = archive.getnames()
        self.run_in(self.folder, "tar", "-xf", sdist)
        for name in ("README.md", "PROTOCOL.md", "LICENSE-MIT", "LICENSE-APACHE", "tests/test_build.py"):
            self.assertIn(STEM + "/" + name, names)

        wheel = self.build(os.path.join(self.folder, STEM), "wheel")
        environment = os.path.join(self.folder, "venv")
        self.run_in(self.folder, sys.executable, "-m", "venv", "--without-pip", environment)
        python = os.path.join(environment, "bin", "python")
        place = self.run_in(self.folder, python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
        with zipfile.ZipFile(wheel) as archive:
            installed = archive.namelist()
            archive.extractall(place)  # of a wheel without scripts that is what an installer does
        source = os.listdir(os.path.join(PROJECT, "src", "sppm"))
        wanted = sorted("sppm/" + name for name in source if name.endswith((".py", ".typed")))
        self.assertEqual(self.modules(installed, "sppm/"), wanted)

        look = "import sppm, importlib.metadata as m; print(sppm.__file__); print(m.version('sppm-supervisor'))"
        file, version = self.run_in(self.folder, python, "-c", look).split()
        self.assertTrue(file.startswith(environment), file)
        self.assertEqual(version, sppm.__version__)
        with sppm.task():  # and the one under test is still another
            self.assertFalse(sppm.__file__.startswith(environment))
