"""The figures of bench/structure.py, from records whose figures are known, and the script as a whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from bench.checks.structure import judge

ROOT = Path(__file__).parents[2]


def rows(**changes) -> pd.DataFrame:
    shared = {"problem": "bratu", "n": 400, "status": "ok", "reason": "", "prepare_s": 0.1}
    cases = [
        {"strategy": "identity", "vjp_products": 400, "jvp_products": 0, "median_s": 0.9, "over_fastest": 90.5},
        {"strategy": "vmap", "vjp_products": 400, "jvp_products": 0, "median_s": 0.5, "over_fastest": 49.0},
        {"strategy": "jvp", "vjp_products": 0, "jvp_products": 400, "median_s": 1.9, "over_fastest": 190.0},
        {
            "strategy": "coloring",
            "vjp_products": 2,
            "jvp_products": 0,
            "median_s": 0.01,
            "over_fastest": 1.0,
            **changes,
        },
    ]
    return pd.DataFrame([{**shared, **case} for case in cases])


def test_products_and_times_are_those_of_the_best_other() -> None:
    fewer, faster = judge(rows())
    assert (fewer.value, fewer.met, fewer.note) == (200, True, "2 against 400 products")
    assert (faster.value, faster.met) == (49.0, True)
    assert "10 ms against 500 ms of vmap" in faster.note
    assert "n = 400" in faster.what


def test_too_many_products_and_too_slow() -> None:
    fewer, faster = judge(rows(vjp_products=5, median_s=1.0, over_fastest=2.0))
    assert (fewer.value, fewer.met) == (80, False)
    assert (faster.value, faster.met) == (0.5, False)


def test_a_case_without_a_result_makes_no_figure() -> None:
    with pytest.raises(RuntimeError, match="a case has no right result: it was tired"):
        judge(rows(status="unsupported", reason="it was tired"))


@pytest.mark.long
def test_the_script_prints_its_table() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "bench" / "structure.py", "--quick"], capture_output=True, text=True, cwd=ROOT
    )
    assert "| detection | of burgers, n = 100 | at most 5e+03 ms |" in done.stdout, done.stderr
    assert "| coloring | times fewer products of bratu, n = 16 | at least 100 | 8 | **missed** |" in done.stdout
    assert done.returncode == 1
