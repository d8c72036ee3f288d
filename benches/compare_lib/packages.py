"""Debian's supervisors: looked for, and installed without starting their services where that is allowed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NEEDED = {"supervisord": "supervisor", "s6-svscan": "s6", "runsvdir": "runit", "cc": "gcc"}


def missing():
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/command"
    return sorted({package for command, package in NEEDED.items() if not shutil.which(command, path=path)})


def install():
    """Installs what is missing, as root. What cannot be had stays away, and its cells say so."""
    packages = missing()
    if not packages:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        print(f"compare: not installed and not to be had here: {' '.join(packages)}", file=sys.stderr)
        return
    print(f"compare: installing {' '.join(packages)}", file=sys.stderr)
    # A package must not start its service now. Debian asks this file.
    policy = Path("/usr/sbin/policy-rc.d")
    made = not policy.exists()
    if made:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
        environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
        subprocess.run(["apt-get", "update", "-qq"], check=False, **quiet)
        command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
        subprocess.run(command, check=False, env=environment, **quiet)
    finally:
        if made:
            policy.unlink(missing_ok=True)
