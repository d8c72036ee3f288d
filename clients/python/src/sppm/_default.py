"""The channel that the module's own functions share."""

from __future__ import annotations

from typing import Any, Callable, Dict, Optional

from ._channel import Channel
from ._subscription import Subscription
from ._wire import Message

_made: Dict[str, Channel] = {}


def channel() -> Channel:
    """The process's own channel, made when it is first asked for."""
    return _made.get("own") or _made.setdefault("own", Channel())


def publish(topic: str, data: Any) -> int:
    """Hands ``data`` to all who subscribed to ``topic`` and says to how many; 0 without a supervisor."""
    return channel().publish(topic, data)


def subscribe(pattern: str, callback: Optional[Callable[[Message], object]] = None) -> Subscription:
    """What others publish under a topic or pattern, from now on: to iterate over, or handed to ``callback``."""
    return channel().subscribe(pattern, callback)
