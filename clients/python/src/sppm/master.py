"""Where PyPI's ``sppm`` has ``sppm_start``. Import it from ``sppm``."""

from ._start import sppm_block_start, sppm_start

__all__ = ["sppm_block_start", "sppm_start"]
