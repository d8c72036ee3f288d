"""The settings file of PyPI's ``sppm``: ``.sppm_env`` beside the script, or what ``$SPPM_ENV`` names."""

from __future__ import annotations

import os
from typing import Dict, NamedTuple, Optional

from . import _environment

FILE = ".sppm_env"


class Settings(NamedTuple):
    """What still has a meaning; the pid and lock files are the supervisor's business now."""

    file: Optional[str]
    """Where they come from, if from a file of the script's own: each such file is a program of its own."""
    log: Optional[str]
    timeout: int
    """Seconds after which a stop kills; 0: it waits."""


NONE = Settings(None, None, 0)


def load(script: str) -> Settings:
    """The settings for a script; within a supervisor ``$SPPM_ENV`` is the supervisor's, and there are none."""
    if _environment.supervised():
        return NONE
    given = _environment.variable("SPPM_ENV")
    path = os.path.abspath(given) if given is not None else os.path.join(os.path.dirname(script), FILE)
    try:
        with open(path, encoding="utf-8") as file:
            values = _values(file.read())
    except (OSError, UnicodeDecodeError):
        return NONE
    log, timeout = values.get("log", ""), values.get("timeout", "")
    return Settings(path, log if os.path.isabs(log) else None, int(timeout) if timeout.isdigit() else 0)


def _values(text: str) -> Dict[str, str]:
    values: Dict[str, str] = {}
    for line in text.splitlines():
        key, sign, value = line.strip().partition("=")
        if sign:
            values[key.strip()] = value.strip()
    return values
