"""Programs under the supervisor sppm: tasks that are not interrupted, messages, a store, scripts in the background.

Every function works without a supervisor too: it then does nothing, or what it can do alone. The same holds where a
variable that a function needs is not set (``SPPM_LOCK``, ``SPPM_NOTIFY``, ``SPPM_SOCKET``).
"""

from ._channel import Channel
from ._command import CommandFailed, CommandMissing
from ._daemon import Daemon
from ._default import publish, subscribe
from ._flock import flock_task
from ._notify import beat, ready, request, request_restart, request_stop, status
from ._shared import Shared, Versioned, shared
from ._signals import Stop
from ._sockets import inherited_sockets
from ._start import sppm_block_start, sppm_start
from ._stop import signal_monitor, stop_wanted, wait_stop
from ._subscription import Subscription
from ._task import lock, task, working_lock
from ._version import VERSION as __version__
from ._wire import ChannelError, Message, Unavailable
from ._worker import Worker

__all__ = [
    "Channel",
    "ChannelError",
    "CommandFailed",
    "CommandMissing",
    "Daemon",
    "Message",
    "Shared",
    "Stop",
    "Subscription",
    "Unavailable",
    "Versioned",
    "Worker",
    "__version__",
    "beat",
    "flock_task",
    "inherited_sockets",
    "lock",
    "publish",
    "ready",
    "request",
    "request_restart",
    "request_stop",
    "shared",
    "signal_monitor",
    "sppm_block_start",
    "sppm_start",
    "status",
    "stop_wanted",
    "subscribe",
    "task",
    "wait_stop",
    "working_lock",
]
