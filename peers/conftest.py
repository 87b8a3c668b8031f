"""The packages of the peers as they lie here, whether they are installed or not."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(file.parent) for file in sorted(Path(__file__).parent.glob("*/pyproject.toml"))]
