"""What bench/frontier.py does on a card alone: the best of ours with graphs and kernels, cells in other processes."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bench.checks import cells
from bench.checks.bilaplacian import CARD_OURS as CARD_BILAPLACIAN
from bench.checks.bilaplacian import bilaplacian
from bench.checks.cells import SMALL_LAPLACIANS
from bench.checks.divergence import CARD_OURS, divergence
from bench.checks.laplacian import floor
from bench.checks.measured import measured
from bench.checks.memory import memory
from bench.checks.peers import on_card
from bench.checks.swept import sweep
from jacstrat import read_records
from jacstrat.harness.dispatch.children import Children
from jacstrat.records import RecordWriter
from tests.bench.test_frontier import BOTH, QUICK, cell, record


def test_a_graph_is_held_against_a_graph_of_the_products() -> None:
    times_s = {**BOTH, "graphed(taylor)": 0.3, "floor": 0.8, "floor replayed": 0.25}
    found = {figure.what.split("`")[1]: figure.value for figure in floor([cell(times_s)], (*BOTH, "graphed(taylor)"))}
    assert found == pytest.approx({"taylor": 1 / 0.8, "compiled(taylor)": 0.5 / 0.8, "graphed(taylor)": 0.3 / 0.25})


def test_on_a_card_the_divergence_is_that_of_the_best_of_ours() -> None:
    times_s = {"chain": 9.0, "compiled(chain)": 5.0, "graphed(chain)": 2.0, "graphed(compiled(chain))": 1.5, "f": 1.0}
    refused = {"status": "unsupported", "reason": "no"}
    cells = [
        cell({**times_s, "fused": 1.25}, "field1-8 n=64", n=64, operator="divergence"),
        cell({**times_s, "fused": 1.0}, "field1-8 n=256", n=256, operator="divergence", fused=refused),
    ]
    ratio, growth, *_ = divergence(cells, CARD_OURS)
    assert (ratio.value, growth.value) == (1.5, 1.2)
    assert "field1-8 n=64: 1.25e+03 ms by `fused`" in ratio.note
    assert "by `graphed(compiled(chain))`" in ratio.note
    none = cell({**times_s, "fused": 1.0}, "field1-8", **dict.fromkeys(CARD_OURS, refused))
    (ratio, *_) = divergence([none], CARD_OURS)
    assert math.isnan(ratio.value)
    assert ratio.note == "field1-8: unsupported: no"


def test_on_a_card_graphs_and_kernels_stand_beside_the_peers() -> None:
    times_s = {**BOTH, "graphed(taylor)": 0.2, "graphed(compiled(taylor))": 0.1, "jax_hessian": 0.3}
    times_s |= {"fused": 0.05, "graphed(fused)": 0.06}
    served, reason = cell(times_s), {"status": "unsupported", "reason": "layer_norm"}
    refused = cell(times_s, **dict.fromkeys(("fused", "graphed(fused)"), reason))
    mean, least = on_card([served, refused], "jax_hessian")
    assert mean.value == pytest.approx((6 * 3) ** 0.5)
    assert least.value == pytest.approx(3.0)


def test_on_a_card_the_bilaplacian_has_graphs_on_both_sides() -> None:
    times_s = {"taylor": 2.0, "compiled(taylor)": 1.0, "auto": 4.0, "graphed(taylor)": 0.5}
    times_s |= {"graphed(compiled(taylor))": 0.25, "hessian": 3.0, "jet": 5.0, "jet:form=replayed": 0.5}
    nested, theirs = bilaplacian([cell(times_s)], CARD_BILAPLACIAN)
    assert (nested.value, theirs.value) == (12.0, 2.0)
    assert theirs.note == "net: graphed(compiled(taylor)) against jet:form=replayed, 2.00 [2.00, 2.00] times"


@pytest.mark.long
def test_what_dies_in_a_process_of_its_own_takes_nothing_else_with_it(tmp_path: Path) -> None:
    """As on a card: cells by the names that other processes find them under."""
    children = Children(keeps=lambda cell: True, is_own=lambda problem: True)
    try:
        with RecordWriter(tmp_path) as writer:
            found = list(measured(SMALL_LAPLACIANS, ("taylor", "no_such"), QUICK, writer, children=children))
    finally:
        children.close()
    assert [one.name.partition(" ")[0] for one in found] == ["tanh-5-8x2"] * 2 + ["gelu-layernorm-4-8x1"] * 2
    for one in found:
        assert one.fault("taylor") == ""
        assert one.ratio("taylor", "f").median > 0
    assert "floor" in found[0].samples
    assert set(read_records(tmp_path)["problem"]) == {one.spec for one in SMALL_LAPLACIANS}


def test_every_network_is_found_by_its_attribute() -> None:
    networks = [one for table in cells.tables() for one in table]
    assert len({one.attribute for one in networks}) > 20
    for one in networks:
        other = getattr(cells, one.attribute)
        assert (other.name, other.widths and other.widths(one.n)) == (
            one.problem.name,
            one.problem.widths and one.problem.widths(one.n),
        )
    with pytest.raises(AttributeError, match="has no attribute nothing"):
        _ = cells.nothing


def test_the_records_of_a_card_are_read_for_its_rows(tmp_path: Path) -> None:
    with RecordWriter(tmp_path) as writer:
        for device, times_s in (("cpu", {"vmap": 1.0, "taylor": 9.0}), ("cuda:0", {"vmap": 1.0, "taylor": 0.5})):
            for strategy, time_s in times_s.items():
                one = record(strategy, time_s, device=device)
                writer.write(replace(one, case=f"{one.case}/{device}"))
    (figure,) = sweep(tmp_path, "cuda")
    assert (figure.value, figure.met) == (0.5, True)
    assert f"in a cell of the sweep {tmp_path.name}, most" in figure.what
    assert sweep(tmp_path)[0].value == 9.0


def test_memory_that_cannot_be_had_is_told_and_meets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(network, dtype: str, device: str, tile: int) -> float:
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate")

    monkeypatch.setattr("bench.checks.memory._ratio", failing)
    (figure,) = memory(SMALL_LAPLACIANS[:1], "cuda")
    assert math.isnan(figure.value)
    assert "OutOfMemoryError: CUDA out of memory. Tried to allocate" in figure.note
