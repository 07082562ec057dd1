"""Helper modules of this folder can be imported by its tests, which pytest loads by path alone."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
