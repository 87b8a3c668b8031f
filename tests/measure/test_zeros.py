"""Efficient zeros of forward mode stay what they are under the modes that count, and crash nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.pages import ROOT

pytestmark = pytest.mark.long


def test_forward_mode_is_the_same_under_every_mode() -> None:
    command = [sys.executable, "-X", "faulthandler", "-W", "ignore", "-m", "tests.measure.zeros"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["all"]), done.stdout[-200:] + done.stderr[-2000:]
