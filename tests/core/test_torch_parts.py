"""What torch imports late: by no import of this package, and all at once where a time is about to be taken."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.long

SCRIPT = """
import sys
import jacstrat, jacstrat.harness.run
from jacstrat.core.torch_parts import PARTS, import_torch_parts
late = [part for part in PARTS if part in sys.modules]
import_torch_parts()
print(late, sorted(set(PARTS) - set(sys.modules)))
"""


def test_they_are_imported_when_they_are_asked_for() -> None:
    run = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert (run.stdout.strip(), run.stderr) == ("[] []", "")
