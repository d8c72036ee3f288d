"""What the supervisor told this process, through environment variables."""

from __future__ import annotations

import os
from typing import Optional


def variable(name: str) -> Optional[str]:
    """The value of a variable; None where it is not set or empty."""
    return os.environ.get(name) or None


def supervised() -> bool:
    """Whether a supervisor started this process or one of its ancestors."""
    return variable("SPPM_RUN") is not None


def is_main() -> bool:
    """Whether this is the process that the supervisor launched, and not one of its helpers.

    The supervisor gives each instance a session of its own.
    """
    return os.getpid() == os.getsid(0)
