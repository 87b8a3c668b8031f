"""scripts/gate, which action.yml runs, with a jacstrat in its place that ends as it is told."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.pages import ROOT

STAND_IN = '#!/usr/bin/env bash\necho "$*" >>"$LOG"\nexit "$CODE"\n'


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    file = tmp_path / "bin" / "jacstrat"
    file.parent.mkdir()
    file.write_text(STAND_IN, encoding="utf-8")
    file.chmod(0o755)
    return tmp_path


def gate(tools: Path, code: int = 0, **variables: str) -> tuple[int, list[str], str]:
    """Exit code, the words that jacstrat was called with, and stderr."""
    environ = {
        "PATH": f"{tools / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "LOG": str(tools / "log"),
        "CODE": str(code),
        "RUNNER_TEMP": str(tools),
        "GITHUB_OUTPUT": str(tools / "output"),
        **variables,
    }
    done = subprocess.run(["bash", ROOT / "scripts" / "gate"], env=environ, capture_output=True, text=True)
    log = tools / "log"
    return done.returncode, log.read_text(encoding="utf-8").split() if log.exists() else [], done.stderr


def test_a_sweep_is_compared_with_a_revision_and_kept_where_the_output_says(tools: Path) -> None:
    code, words, _ = gate(tools, SWEEP="mine.toml", BASE="v1.0")
    name, _, directory = (tools / "output").read_text(encoding="utf-8").strip().partition("=")
    assert name == "directory"
    assert Path(directory).is_dir()
    kept = ["--keep", f"{directory}/compared", "--plot", f"{directory}/ratios.svg"]
    assert words == ["compare", "--rev", "v1.0", "--sweep", "mine.toml", *kept]
    assert code == 0


@pytest.mark.parametrize(
    ("variables", "base"),
    [({}, "HEAD^"), ({"GITHUB_BASE_REF": "main"}, "origin/main"), ({"GITHUB_BASE_REF": "main", "BASE": "v2"}, "v2")],
)
def test_the_base_is_that_of_the_pull_request_or_the_commit_before(tools: Path, variables: dict, base: str) -> None:
    assert gate(tools, **variables)[1][:5] == ["compare", "--rev", base, "--sweep", "quick"]


@pytest.mark.parametrize(
    ("chosen", "passed"), [("regression", {0}), ("", {0}), ("wrong", {0, 1}), ("never", {0, 1, 4})]
)
@pytest.mark.parametrize("code", [0, 1, 2, 3, 4])
def test_the_gate_decides_which_verdicts_fail(tools: Path, chosen: str, passed: set[int], code: int) -> None:
    assert gate(tools, code, GATE=chosen)[0] == (0 if code in passed else code)


def test_another_gate_is_refused_before_anything_is_measured(tools: Path) -> None:
    assert gate(tools, GATE="all") == (2, [], "gate must be regression, wrong or never, got 'all'\n")
