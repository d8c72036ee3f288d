"""Where PyPI's ``sppm`` has ``signal_monitor``. Import it from ``sppm``."""

from ._stop import signal_monitor

__all__ = ["signal_monitor"]
