"""What the fastest of ours is to reach on an H100, from cells and rows whose times are known."""

from __future__ import annotations

import math

import pytest

from bench.checks.fused import FusedRow
from bench.checks.fused_targets import DIVERGENCE, SHALLOW, TARGETS_S, figures
from tests.bench.test_frontier import cell

OURS = {"taylor": 900e-6, "compiled(taylor)": 400e-6, "graphed(taylor)": 100e-6, "graphed(compiled(taylor))": 80e-6}
OURS |= {"graphed(fused)": 90e-6}
PEERS = {"jet:form=compiled": 350e-6, "jet:form=replayed": 97e-6, "folx": 72e-6, "jax_hessian": 130e-6}
REFUSED = {"status": "unsupported", "reason": "no network"}


def named(found) -> dict:
    return {figure.what: figure for figure in found}


def test_each_network_has_its_target_in_microseconds_for_the_best_of_ours() -> None:
    found = named(figures([cell({**OURS, **PEERS, "fused": 24e-6}, "tanh-10-64x3 n=10 B=4096 float32")], []))
    times = [figure for what, figure in found.items() if what.startswith("a call on ")]
    assert len(times) == len(TARGETS_S) == 8
    first, *others = times
    assert (first.what, first.value, first.met) == (
        "a call on tanh-10-64x3 in float32, the best of ours",
        24e-6,
        True,
    )
    assert first.cells[2:4] == ("at most 30 us", "24 us")
    assert first.note == "tanh-10-64x3 n=10 B=4096 float32: by `fused`"
    assert all(math.isnan(one.value) and one.note == "not reached" for one in others)


def test_over_the_best_of_the_others_as_a_mean_and_in_the_least_cell() -> None:
    cells = [
        cell({**OURS, **PEERS, "fused": 24e-6}, "tanh-10-64x3 n=10 B=4096 float32"),
        cell({**OURS, **PEERS, "fused": 1.0}, "attention-16x4-32 n=64 B=2048 float32", fused=REFUSED),
        cell({**OURS, **PEERS, "fused": 36e-6}, "tanh-10-64x3 n=10 B=4096 float64"),
    ]
    found = [figure for figure in figures(cells, []) if "times faster" in figure.what]
    assert [figure.value for figure in found] == pytest.approx([(3 * 0.9) ** 0.5, 0.9, 2.0, 2.0])
    assert [figure.target for figure in found] == [2.3, 1.2, 1.8, 1.1]
    assert [figure.met for figure in found] == [False, False, True, True]
    assert "float32, 2 cells, geometric mean" in found[0].what
    assert "graphed(compiled(taylor)) against folx, 0.90" in found[0].note


def test_a_cell_that_no_other_does_is_told_of_and_one_of_ours_that_fails_meets_nothing() -> None:
    alone = cell({**OURS, "fused": 24e-6, "folx": 1.0}, "tanh-3-32x4 n=3 B=65536 float32", folx=REFUSED)
    (mean, *_) = [figure for figure in figures([alone], []) if "times faster" in figure.what]
    assert math.isnan(mean.value)
    assert mean.note.endswith("not compared, folx is unsupported: no network")
    wrong = {name: {"status": "wrong", "reason": "relative error 1"} for name in (*OURS, "fused")}
    none = cell({**OURS, "fused": 24e-6, "folx": 1.0}, "tanh-3-32x4 n=3 B=65536 float32", **wrong)
    found = figures([none], [])
    assert not any(figure.met for figure in found if "times faster" in figure.what)
    (time,) = [figure for figure in found if "tanh-3-32x4" in figure.what]
    assert (math.isnan(time.value), time.note) == (True, "wrong: relative error 1")


def test_divergences_and_rows_without_a_time_are_figures_too() -> None:
    rows = [
        FusedRow(DIVERGENCE, "fused", 450e-6),
        FusedRow(DIVERGENCE, "compiled(chain)", 1030e-6),
        FusedRow(SHALLOW, "compiled(chain)", 40e-6),
        FusedRow(SHALLOW, "graphed(compiled(chain))", 16e-6),
        FusedRow(SHALLOW, "fused:tile=16", reason="RuntimeError: no"),
    ]
    found = named(figures([], rows))
    assert (found[DIVERGENCE].value, found[DIVERGENCE].note) == (450e-6, "by `fused`")
    over = found[f"{SHALLOW}, `compiled(chain)` over its graph"]
    assert over.value == pytest.approx(2.5)
    assert not over.met
    ended = found["of 5 rows of kernels, those without a time"]
    assert (ended.value, ended.met) == (1, False)
    assert ended.note == f"{SHALLOW} fused:tile=16: RuntimeError: no"
    assert math.isnan(named(figures([], []))[DIVERGENCE].value)
