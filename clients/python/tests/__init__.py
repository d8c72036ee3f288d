"""Tests of the package, against small fakes that follow the protocol of the supervisor.

Run them in the folder above: ``python3 -m unittest``.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "src"))
