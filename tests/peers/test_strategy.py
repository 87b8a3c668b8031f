"""A peer in a cell of the harness: judged as any strategy, timed in its own process, counted by nobody."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from jacstrat import OPERATORS, UnsupportedError, UsageError, parse_strategy
from jacstrat.core.errors import MissingError
from jacstrat.harness.cell.measuring import measure
from jacstrat.harness.cell.outcomes import Outcome
from jacstrat.harness.plan.cases import Cell
from jacstrat.harness.plan.predict import forecasts
from jacstrat.measure.sampling import Settings
from jacstrat.strategies import _PARSED
from jacstrat.strategies.compiled import Compiled
from jacstrat.strategies.graphed import Graphed

from .toy import Gone, Toy

QUICK = Settings(limit_s=0.02, warmup_s=0.01)
CELL = Cell("squared_norm", "laplacian", 3, 2, "float64", "cpu", "evaluate", 1, 0, ("vmap", "toy"))
X = torch.ones(2, 3, dtype=torch.float64)


def norm(x: torch.Tensor) -> torch.Tensor:
    return x.square().sum(-1)


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    known = {"toy": Toy(), "toy:off=1.0": Toy(off=1.0), "toy:fault=exit": Toy(fault="exit"), "gone": Gone()}
    for spec, strategy in known.items():
        monkeypatch.setitem(_PARSED, spec, strategy)
    with torch.no_grad():
        yield


def outcomes(cell: Cell) -> tuple[dict[str, Outcome], list[Outcome]]:
    found = list(measure(cell, QUICK))
    return {one.record.strategy: one for one in found if one.record}, found


def test_a_peer_is_a_row_beside_the_others_with_times_and_no_counts() -> None:
    rows, _ = outcomes(CELL)
    record, samples = rows["toy"].record, rows["toy"].samples
    assert (record.status, record.reason, rows["vmap"].record.status) == ("ok", "", "ok")
    assert record.median_s > 0
    assert record.cost_ratio > 0
    assert record.over_fastest is not None
    counted = ("vjp_products", "jvp_products", "f_evaluations", "aten_ops", "flops", "peak_bytes")
    assert [getattr(record, name) for name in counted] == [None] * 6
    assert samples["software"] == {"toy": "1.0", "precision": "float64", "threads": "1"}
    assert samples["waits"] is None
    assert min(samples["seconds"]) > 0
    # Where processes take turns a block lasts 10 ms at least, of the fastest, and others go along with its calls.
    assert samples["calls"] >= rows["vmap"].samples["calls"] > 1
    assert "software" not in rows["vmap"].samples


def test_a_wrong_one_is_no_strategy_and_one_that_dies_is_a_row() -> None:
    rows, _ = outcomes(replace(CELL, strategies=("toy:off=1.0", "toy:fault=exit", "gone", "vmap")))
    told = {name: (one.record.status, one.record.reason) for name, one in rows.items()}
    assert told["toy:off=1.0"][0] == "unsupported"
    assert "is not right for this function: it is off by 0.17 of the sum of |H_ii|" in told["toy:off=1.0"][1]
    assert told["toy:fault=exit"][0] == "crashed"
    assert told["toy:fault=exit"][1].startswith("the process of toy ended with code 3; last words: ")
    assert told["gone"] == ("skipped", "toy is not installed; run `python -m jacstrat.peers toy`")
    assert told["vmap"] == ("ok", "")


def test_a_plan_skips_what_is_not_installed_and_predicts_nothing_of_another_process() -> None:
    here, gone = forecasts(replace(CELL, strategies=("toy", "gone")), 2**30)
    assert (here.skip, gone.skip) == ("", "toy is not installed; run `python -m jacstrat.peers toy`")
    assert here.prediction.reason == "another process does the work, which nothing without numbers can be told"


@pytest.mark.parametrize("workload", ["train", "replay"])
def test_a_peer_evaluates_and_does_nothing_else(workload: str) -> None:
    if workload == "train":
        cell = replace(CELL, problem="tanh_scalar", n=2, workload=workload, strategies=("toy",))
        rows, _ = outcomes(cell)
        reason = "toy works in a process of its own, which evaluates alone; leave out train"
        assert (rows["toy"].record.status, rows["toy"].record.reason) == ("unsupported", reason)
        return
    with pytest.raises(UsageError, match=r"toy works in a process of its own, .*; leave out graphed\(\)"):
        Graphed(Toy())
    with pytest.raises(UsageError, match=r"toy works in a process of its own, .*; leave out compiled\(\)"):
        Compiled(Toy())


def test_a_prepared_one_serves_other_points_and_a_single_one() -> None:
    prepared = Toy().prepare("laplacian", norm, X)
    assert prepared(torch.ones(5, 3, dtype=torch.float64)).tolist() == [6.0] * 5
    assert Toy().prepare("laplacian", norm, X[0])(X[0]).item() == 6.0
    assert prepared.contraction.remote.seconds(3) > 0


def test_what_a_peer_refuses_is_told_in_a_line() -> None:
    with pytest.raises(
        UnsupportedError, match="toy cannot serve the divergence: numpy has none; it serves the laplacian"
    ):
        Toy().prepare(OPERATORS["divergence"], torch.sin, X)
    # Not the Laplacian of a Laplacian, which another process cannot be told of.
    with pytest.raises(UnsupportedError, match="toy cannot serve the bilaplacian"):
        Toy().prepare("bilaplacian", norm, X)
    with pytest.raises(UnsupportedError, match=r"in float32 or float64, and x has torch\.bfloat16"):
        Toy().prepare("laplacian", norm, X.bfloat16())
    with pytest.raises(MissingError, match=r"toy is not installed; run `python -m jacstrat\.peers toy`"):
        Gone().prepare("laplacian", norm, X)


def test_a_result_without_a_gradient_is_not_handed_out_where_one_is_wanted() -> None:
    message = "its result has no gradient; call under no_grad"
    with torch.enable_grad(), pytest.raises(UnsupportedError, match=message):
        Toy().prepare("laplacian", norm, X.clone().requires_grad_())
    prepared = Toy().prepare("laplacian", norm, X)
    with torch.enable_grad(), pytest.raises(UnsupportedError, match=message):
        prepared(X.clone().requires_grad_())
    with torch.enable_grad():
        assert not prepared(X).requires_grad


def test_it_is_not_measured_where_nobody_asks_for_it() -> None:
    assert Toy.compiles
    assert not Toy().starts_compiler
    assert parse_strategy("toy") == Toy()
