"""The language of ``SPPM_SOCKET``: names, data, answers, errors. Pure: nothing is sent here."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple, Optional

LONGEST_DATA = 60_000
LONGEST_TEXT = 1_000

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}\Z")
_PATTERN = re.compile(r"[A-Za-z0-9*][A-Za-z0-9._/*-]{0,127}\Z")


class ChannelError(Exception):
    """What the supervisor refused, or why it could not be reached."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__("%s (%s)" % (text, code) if text else code)
        #: ``usage``, ``not-permitted``, ``too-large``, ``full``, ``changed``, ``busy``, or ``unavailable``.
        self.code = code
        #: In words.
        self.text = text


class Unavailable(ChannelError, ConnectionError):
    """There is no answer: the supervisor cannot be reached, or the connection was lost in the middle."""

    def __init__(self, text: str) -> None:
        super().__init__("unavailable", text)


class Message(NamedTuple):
    """Something that was published."""

    topic: str
    sender: str
    """The instance that published it, or ``operator``."""
    data: Any
    """What it published; text that is not JSON (from a shell) is given as it is."""


class Push(NamedTuple):
    """A line that nobody asked for: ``msg``, ``missed`` or ``stop``."""

    kind: str
    first: str
    second: str
    rest: str


def name(text: str) -> str:
    """The name of a topic or a key, if it is one."""
    if not _NAME.match(text):
        raise ValueError(
            "%r is not a name: letters, digits and . _ / -, beginning with a letter or digit, at most 128" % text
        )
    return text


def pattern(text: str) -> str:
    """The name of a topic, or one with ``*`` for any run of characters."""
    if not _PATTERN.match(text):
        raise ValueError("%r is neither a topic nor a pattern of topics" % text)
    return text


def matcher(text: str) -> "re.Pattern[str]":
    """What a pattern matches."""
    return re.compile(".*".join(re.escape(part) for part in text.split("*")) + r"\Z")


def encode(value: Any) -> str:
    """A value as JSON on one line."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError:  # half a surrogate pair: only escaped it can be sent
        text = json.dumps(value, allow_nan=False, separators=(",", ":"))
        size = len(text)
    if size > LONGEST_DATA:
        raise ChannelError("too-large", "%d bytes of data, at most %d" % (size, LONGEST_DATA))
    return text


def decode(text: str) -> Any:
    """The value; text that is not JSON stands for itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def one_line(text: str) -> str:
    """Words for people: one line, and not too long for a line of the protocol."""
    return " ".join(text.split())[:LONGEST_TEXT]


def push(line: str) -> Optional[Push]:
    """The push that a line is; None for an answer."""
    kind, _, rest = line.partition(" ")
    if kind == "msg":
        topic, _, rest = rest.partition(" ")
        sender, _, rest = rest.partition(" ")
        return Push(kind, topic, sender, rest)
    if kind in ("stop", "missed"):
        first, _, rest = rest.partition(" ")
        return Push(kind, first, "", rest)
    return None


def operand(answer: str, word: str) -> str:
    """What follows ``word`` in an answer that must begin with it; an ``error`` answer is raised."""
    first, _, rest = answer.partition(" ")
    if first == word:
        return rest
    if first == "error":
        code, _, text = rest.partition(" ")
        raise ChannelError(code, text)
    raise ChannelError("usage", "the supervisor answered %r" % answer)
