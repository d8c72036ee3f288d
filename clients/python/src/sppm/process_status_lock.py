"""Where PyPI's ``sppm`` has ``working_lock``, and its early versions ``lock``. Import them from ``sppm``."""

from ._task import lock, working_lock

__all__ = ["lock", "working_lock"]
