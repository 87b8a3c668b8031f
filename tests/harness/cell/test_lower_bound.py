"""The floor of a cell: its columns, its samples, and where there is none."""

from __future__ import annotations

from dataclasses import replace
from statistics import median

import pytest
import torch

from jacstrat.harness.cell.lower_bound import bare, lower_bound_of
from jacstrat.harness.cell.measuring import measure
from jacstrat.harness.cell.setup import set_up
from jacstrat.harness.cell.surroundings import surroundings
from jacstrat.measure.counters import OperationCounter
from jacstrat.problems.best import MatrixProduct
from jacstrat.records import by_round
from jacstrat.statistics import ratio
from tests.harness.conftest import QUICK
from tests.strategies.recorder import Recorder

COLUMNS = ("best_flops", "floor_median_s", "over_floor", "over_floor_low", "over_floor_high")


def test_a_network_is_measured_against_its_bare_products(cell) -> None:
    # Enough samples for an interval, however slow the machine is.
    enough = replace(QUICK, limit_s=2.0, max_samples=8)
    found = measure(cell("tanh_scalar", "vmap", "taylor", operator="laplacian"), enough)
    outcomes = {o.case.split("/")[2]: o for o in found}
    assert set(outcomes) == {"f", "floor", "vmap", "taylor"}
    assert outcomes["floor"].record is None
    for name in ("vmap", "taylor"):
        record = outcomes[name].record
        # n = 3, B = 2 and layers of 64: forward, back and 3 tangents, in multiplications and additions.
        assert record.best_flops == 2 * 2 * (3 * 64 + 2 * 64**2 + 2 * 64**2 + 3 * 2 * 64**2)
        assert record.flops >= record.best_flops
        assert record.floor_median_s > 0
        rounds = (by_round(outcomes[one].samples) for one in (name, "floor"))
        assert record.over_floor == pytest.approx(ratio(*rounds).median)
        assert record.over_floor_low <= record.over_floor <= record.over_floor_high


def test_a_graph_is_measured_against_a_graph_of_the_products(cell, monkeypatch: pytest.MonkeyPatch) -> None:
    replays = []

    def captured(work, device):
        replays.append(device.type)
        return lambda: work()

    monkeypatch.setattr("jacstrat.strategies.graphed.backend_for", lambda device: Recorder())
    monkeypatch.setattr("jacstrat.harness.cell.lower_bound.captured", captured)
    one = cell("tanh_scalar", "vmap", "graphed(vmap)", operator="laplacian")
    outcomes = {o.case.split("/")[2]: o for o in measure(one, replace(QUICK, limit_s=2.0, max_samples=8))}
    assert set(outcomes) == {"f", "floor", "vmap", "graphed(vmap)"}
    floor = outcomes["floor"].samples
    assert replays == ["cpu"]
    assert floor["replayed"]["session"] == floor["session"]
    for name, samples in (("vmap", floor), ("graphed(vmap)", floor["replayed"])):
        record = outcomes[name].record
        assert (record.status, record.reason) == ("ok", "")
        assert record.floor_median_s == pytest.approx(median(samples["seconds"]))
        rounds = by_round(outcomes[name].samples), by_round(samples)
        assert record.over_floor == pytest.approx(ratio(*rounds).median)
        assert record.cost_ratio == pytest.approx(ratio(rounds[0], by_round(outcomes["f"].samples)).median)


def test_where_the_products_cannot_be_captured_a_graph_has_no_floor(cell, monkeypatch: pytest.MonkeyPatch) -> None:
    """As here, where there are no graphs."""
    monkeypatch.setattr("jacstrat.strategies.graphed.backend_for", lambda device: Recorder())
    one = cell("tanh_scalar", "vmap", "graphed(vmap)", operator="laplacian")
    found = {o.record.strategy: o.record for o in measure(one, QUICK) if o.record}
    assert found["vmap"].over_floor > 0
    graphed = found["graphed(vmap)"]
    assert (graphed.status, graphed.floor_median_s, graphed.over_floor) == ("ok", None, None)
    assert graphed.best_flops == found["vmap"].best_flops


@pytest.mark.parametrize(
    ("problem", "options"),
    [
        ("sin", {"operator": "divergence"}),
        ("score_silu", {"operator": "divergence"}),
        ("tanh_field", {"operator": "jacobian_diagonal"}),
        ("tanh_scalar", {"operator": "laplacian", "workload": "train"}),
    ],
)
def test_where_there_is_no_floor_the_columns_are_empty(cell, problem: str, options: dict[str, str]) -> None:
    outcomes = list(measure(cell(problem, "vmap", **options), QUICK))
    assert {o.case.split("/")[2] for o in outcomes} == {"f", "vmap"}
    (record,) = (o.record for o in outcomes if o.record)
    assert record.median_s > 0
    assert {name: getattr(record, name) for name in COLUMNS} == dict.fromkeys(COLUMNS)


def test_the_work_has_the_flops_that_it_says(cell) -> None:
    one = cell("tanh_field", n=5, batch=700)
    with surroundings(one):
        floor = lower_bound_of(set_up(one))
        assert floor is not None
        with OperationCounter() as counter:
            floor.work()
    assert counter.flops == floor.flops == 2 * 700 * (5 * 64 + 64**2 + 64**2)
    # 700 rows of 64 + 64 numbers are 0.7 MB: one product each.
    assert counter.total == 3


def test_rows_go_through_in_blocks_and_none_is_lost() -> None:
    work = bare((MatrixProduct(30, 64, 64),), torch.zeros(1000, 4))
    with OperationCounter() as counter:
        work()
    assert counter.flops == 2 * 30_000 * 64 * 64
    # 2048 rows of 128 float32 are 1 MiB; the last product takes the rest.
    assert counter.total == 15
