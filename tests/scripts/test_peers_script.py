"""scripts/peers/setup, with a Python that only writes down what it is asked."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.pages import ROOT

PYTHON = """#!/usr/bin/env bash
printf '%s\\n' "$*" >> "$CALLS"
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("scripts/peers/setup", ".venv/bin/python", "scripts/setup"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "scripts" / "peers" / "setup", tmp_path / "scripts" / "peers" / "setup")
    (tmp_path / "scripts" / "setup").write_text("", encoding="utf-8")
    python = tmp_path / ".venv" / "bin" / "python"
    python.write_text(PYTHON, encoding="utf-8")
    python.chmod(0o755)
    return tmp_path


def called(root: Path, *arguments: str, **environ: str) -> tuple[int, str, list[str]]:
    calls = root / "calls"
    done = subprocess.run(
        ["bash", str(root / "scripts" / "peers" / "setup"), *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"CALLS": str(calls)} | environ,
    )
    return done.returncode, done.stderr, calls.read_text(encoding="utf-8").splitlines() if calls.exists() else []


def test_packages_are_installed_and_environments_made(root: Path) -> None:
    code, _, calls = called(root, PYTHON_JET="/opt/python3.12")
    assert code == 0
    assert calls == [
        f"-m pip install --quiet --no-deps {root}/peers/jacstrat-recipes",
        f"-m pip install --quiet --no-deps {root}/peers/jacstrat-jet",
        "-m jacstrat.peers jet --python /opt/python3.12",
        f"-m pip install --quiet --no-deps {root}/peers/jacstrat-folx",
        "-m jacstrat.peers folx",
    ]


def test_one_alone_and_one_that_is_none(root: Path) -> None:
    assert called(root, "folx")[2][1:] == ["-m jacstrat.peers folx"]
    code, said, _ = called(root, "torch")
    assert (code, said) == (
        2,
        "scripts/peers/setup: no peer is called torch; there are recipes, jet and folx\n",
    )
