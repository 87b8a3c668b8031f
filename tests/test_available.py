"""What the allocator keeps; limits of memory are tested where machines are read, tests/measure/test_hardware.py."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# Three blocks of 3 MiB written to, and freed together, some times; prints the pages that the last of them waited for.
PROGRAM = """
import resource
import numpy as np
from jacstrat.available import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [np.ones(3 * 2**20, np.uint8) for _ in range(3)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

for _ in range(3):
    before = faults()
keep_freed_memory()
for _ in range(3):
    after = faults()
print(before, after)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator than that of glibc")
def test_blocks_that_were_freed_are_given_again() -> None:
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    before, after = map(int, run.stdout.split())
    # 3 x 3 MiB of pages of 4 KiB, or fewer of larger ones.
    assert before > 4 * after
    assert after < 50
