"""Listening sockets that the supervisor opened before this process: ``LISTEN_FDS``."""

from __future__ import annotations

import os
import socket
from typing import Dict

from . import _environment

FIRST = 3


def inherited_sockets() -> Dict[str, socket.socket]:
    """The sockets by name, or by their position where they have none; empty where none are given to this process."""
    count = _environment.variable("LISTEN_FDS") or ""
    owner = _environment.variable("LISTEN_PID")
    if not count.isdigit() or (owner is not None and owner != str(os.getpid())):
        return {}
    names = (_environment.variable("LISTEN_FDNAMES") or "").split(":")
    found: Dict[str, socket.socket] = {}
    for index in range(int(count)):
        name = names[index] if index < len(names) and names[index] else str(index)
        os.set_inheritable(FIRST + index, False)
        found[name if name not in found else str(index)] = socket.socket(fileno=FIRST + index)
    return found
