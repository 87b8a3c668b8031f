"""A strategy against itself, functions of known time, and the process that disturbs. No figure decides a test."""

from __future__ import annotations

import math
import subprocess
import sys
import time

import psutil
import pytest

from bench.checks import aa, known, spinner
from jacstrat.core.case import Case
from jacstrat.measure.sampling import Settings, WorkSamples
from jacstrat.statistics import Summary

pytestmark = pytest.mark.long(but_one_in=3)


@pytest.mark.parametrize("seconds", [2e-5, 1e-3])
def test_a_spin_never_returns_early(seconds: float) -> None:
    work = known.spin(seconds)
    begin = time.perf_counter_ns()
    work()
    assert time.perf_counter_ns() - begin >= seconds * 1e9


def test_each_truth_has_its_error_and_the_empty_function_its_time() -> None:
    off = {2e-5: 1.029, 1e-3: 0.96, 50e-3: 1.0}
    series = {f"spin for {s * 1e3:g} ms": WorkSamples(seconds={0: s * off[s]}) for s in known.TRUTHS_S}
    figures = known.judge(series | {known.EMPTY: WorkSamples(seconds={0: 3e-8}, calls=7)})
    assert [figure.what.partition(":")[0] for figure in figures] == [*series, "overhead a call"]
    assert [figure.value for figure in figures] == pytest.approx([0.029, 0.04, 0.0, 3e-8], abs=1e-12)
    assert [figure.met for figure in figures] == [True, False, True, True]


def test_it_runs_through_the_sampling_of_the_package() -> None:
    figures = known.known(Settings(limit_s=1e-3, warmup_s=1e-3, min_samples=2))
    assert len(figures) == 4
    assert all(0 <= figure.value < math.inf for figure in figures)


def summary(median: float, low: float | None, high: float | None) -> Summary:
    return Summary(median, median, median, median, low, high, 12)


def test_there_are_fifty_different_cases_of_many_kinds() -> None:
    cells = aa.SWEEP.cells()
    cases = [case for cell in cells for case in cell.cases]
    assert len(cases) == len({case.key for case in cases}) == 50
    assert {case.strategy for case in cases} >= {"identity", "ones", "vmap", "jvp", "jacrev", "jacfwd", "hessian"}
    assert {cell.n for cell in cells} == {2, 4, 8, 16}


SMALL = [cell for cell in aa.SWEEP.cells() if cell.n in (2, 4) and not cell.problem.startswith("tanh")]


@pytest.mark.parametrize("case", [case for cell in SMALL for case in cell.cases], ids=lambda case: case.key)
def test_each_is_measured_against_itself(case: Case) -> None:
    pair = aa.measure(case, Settings(limit_s=1e-3, warmup_s=1e-3, min_samples=1, max_samples=2, block_s=1e-6))
    assert pair.case == case.key
    assert pair.ratio is not None
    assert pair.ratio.samples >= 1
    assert pair.deviation == abs(pair.ratio.median - 1)


@pytest.mark.parametrize("device", [None, "cuda"])
def test_an_accelerator_has_thirty_pairs_of_its_own(device: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    devices = []

    def measure(case: Case, settings: Settings) -> aa.RunPair:
        devices.append(case.device)
        return aa.RunPair(case.key, summary(1.0, 0.9, 1.1), (1, 1))

    monkeypatch.setattr(aa, "measure", measure)
    monkeypatch.setattr(aa, "accelerator", lambda: device)
    figures = aa.aa(Settings())
    assert [figure.what.partition(":")[0] for figure in figures] == ["quiet", "beside a busy core", "on cuda"][
        : 3 if device else 2
    ]
    assert devices == ["cpu"] * 100 + ["cuda"] * (30 if device else 0)


@pytest.mark.parametrize(
    ("ratio", "covers"),
    [
        (summary(1.01, 1.0, 1.02), True),
        (summary(0.99, 0.98, 1.0), True),
        (summary(1.01, 1.001, 1.02), False),
        (summary(0.99, 0.98, 0.999), False),
        (summary(1.0, None, None), False),
        (None, False),
    ],
)
def test_what_covers_one(ratio: Summary | None, covers: bool) -> None:
    assert aa.RunPair("a", ratio, (1, 1)).covers is covers


def test_coverage_is_the_share_of_pairs_and_names_those_that_miss() -> None:
    good = aa.RunPair("good", summary(1.01, 0.9, 1.1), (3, 3))
    bad = aa.RunPair("bad", summary(1.2, 1.1, 1.3), (3, 4))
    figure = aa.judge([good] * 45 + [bad] * 5, "quiet", "a note")
    assert (figure.value, figure.met) == (0.9, True)
    assert figure.note.startswith("45 of 50; the ratio is off by 1.00% in the median, by 20.00% at most; ")
    assert figure.note.count("bad: 1.200, 1.100 to 1.300, 12 rounds, blocks of 3 and 4") == 5
    assert "; a note; " in figure.note
    assert "good" not in figure.note
    assert not aa.judge([good] * 44 + [bad] * 6, "quiet").met


def test_a_pair_without_a_ratio_is_a_miss_and_not_an_error() -> None:
    figure = aa.judge([aa.RunPair("none", None, (1, 1)), aa.RunPair("few", summary(1.0, None, None), (1, 2))], "quiet")
    assert figure.value == 0
    assert "none: no rounds in common" in figure.note
    assert "few: 1.000, no interval, 12 rounds, blocks of 1 and 2" in figure.note


def test_it_spins_within_the_block() -> None:
    with spinner.busy_core() as share:
        deadline = time.monotonic() + 10
        while share() < 0.05 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert share() >= 0.05


def test_it_is_gone_after_the_block_also_where_that_raises() -> None:
    seen = []

    def fail() -> None:
        with spinner.busy_core():
            seen.extend(p for p in psutil.Process().children() if spinner.PROGRAM in p.cmdline())
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        fail()
    assert len(seen) == 1
    assert not seen[0].is_running()


def test_it_ends_where_its_parent_is_gone() -> None:
    # No process has 0 for its parent that a shell could start.
    assert subprocess.run([sys.executable, "-c", spinner.PROGRAM, "0"], timeout=20, check=False).returncode == 0
