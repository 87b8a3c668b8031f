"""The figures of bench/compare.py on a little of everything, and the bench suite as `jacstrat compare` reads it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.checks.compare import CASES, CHECKS, KINDS, write_run
from jacstrat.compare.comparison import compare
from jacstrat.compare.inputs import read_side
from jacstrat.compare.verdict import Verdict

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]


def test_every_change_is_found_and_nothing_else() -> None:
    figures = CHECKS["found"](True)
    assert len(figures) == 2 * len(KINDS) + 1
    assert [figure.what for figure in figures if not figure.met] == []
    assert [figure.value for figure in figures] == [1.0] * 2 * len(KINDS) + [0]


def test_the_time_of_a_comparison_is_a_figure() -> None:
    (figure,) = CHECKS["speed"](True)
    assert figure.what == "reading and comparing 200 cases"
    assert figure.value > 0
    assert CASES == 10_000


def test_what_is_compared_for_the_time_has_samples_and_changes(tmp_path: Path) -> None:
    for name, seed in (("base", 0), ("new", 1)):
        write_run(tmp_path / name, 1000, seed)
    comparison = compare(read_side(tmp_path / "base"), read_side(tmp_path / "new"))
    assert len(comparison.cases) == 1000
    assert all(case.time for case in comparison.cases)
    assert len(comparison.regressions) == 2
    assert Verdict.SLOWER not in comparison.counts


@pytest.fixture(scope="module")
def benchmarked(tmp_path_factory) -> Path:
    """One case of the suite, saved twice, the second time compared by pytest-benchmark with the first."""
    folder = tmp_path_factory.mktemp("bench")
    case = "squared_norm/laplacian/ones/n=4/batch=1/float64/cpu/evaluate/threads=1/seed=0"
    arguments = [f"bench/test_sweep.py::test_case[{case}]", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    arguments += ["--benchmark-max-time=0.02", f"--benchmark-storage={folder}"]
    code = (
        "import pytest\n"
        "for name, more in (('one', []), ('two', ['--benchmark-compare'])):\n"
        f"    done = pytest.main([*{arguments!r}, '--benchmark-save=' + name, *more,\n"
        f"                        '--benchmark-json=' + {str(folder)!r} + '/' + name + '.json'])\n"
        "    assert done == 0, done\n"
    )
    # The number of threads is part of the case's name.
    variables = {**os.environ, "OMP_NUM_THREADS": "1"}
    # Where pytest-xdist runs this test, pytest-benchmark would take the child for a worker of it, and not measure.
    variables.pop("PYTEST_XDIST_WORKER", None)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, env=variables)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "(0001_one)" in done.stdout
    assert "machine_info is different" not in done.stdout + done.stderr
    return folder


def test_files_of_the_suite_are_compared(benchmarked: Path) -> None:
    base, new = (read_side(benchmarked / f"{name}.json") for name in ("one", "two"))
    (case,) = base.by_case.index
    row = base.by_case.loc[case]
    assert (row["problem"], row["strategy"], row["n"], row["status"]) == ("squared_norm", "ones", 4, "ok")
    assert row[["vjp_products", "aten_ops", "peak_bytes", "rel_error", "cost_ratio", "median_s"]].notna().all()
    assert base.environment.known
    assert base.environment.utc
    assert len(base.samples[case]["seconds"]) == row["samples"]
    comparison = compare(base, new)
    assert comparison.exit_code == 0
    assert {finding.gate for finding in comparison.cases[0].findings} <= {"time"}
    assert comparison.cases[0].time.measure == "median_s"
