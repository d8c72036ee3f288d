"""Tests of the package: against small fakes that follow PROTOCOL.md, and (``test_real``) with the real command.

Run them in the folder above: ``SPPM_BIN=…/target/debug/sppm python3 -m unittest``. Without ``SPPM_BIN`` those with the
real command are skipped, and say so; with ``SPPM_TESTS_REQUIRE_ALL=1`` they fail instead.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "src"))
