"""A compiled strategy in a run: its row, what is counted of it, and where its kernels are kept."""

from __future__ import annotations

import pytest
import torch._inductor

from jacstrat.harness.cell.measuring import measure
from tests.harness.conftest import QUICK, mine

VARIABLE = "TORCHINDUCTOR_CACHE_DIR"


def rows(cell) -> dict:
    return {o.record.strategy: o.record for o in measure(cell, QUICK) if o.record}


def test_counts_are_those_of_the_inner_strategy_but_for_what_cannot_be_seen(cell, interpreted: list) -> None:
    found = rows(cell(mine("net"), "vmap", "compiled(vmap)"))
    plain, compiled = found["vmap"], found["compiled(vmap)"]
    assert (plain.status, compiled.status) == ("ok", "ok")
    for name in ("vjp_products", "jvp_products", "f_evaluations", "flops"):
        assert getattr(compiled, name) == getattr(plain, name)
    assert None not in (plain.aten_ops, plain.peak_bytes, compiled.median_s, compiled.prepare_s)
    assert (compiled.aten_ops, compiled.peak_bytes) == (None, None)
    # One to start the compiler, one to measure; counters see the eager form.
    assert len(interpreted) == 2


def test_a_program_that_differs_is_a_wrong_row_with_the_reason(cell, monkeypatch) -> None:
    monkeypatch.setattr(torch._inductor, "compile", lambda graph, inputs, options: lambda *args: graph(*args) + 1)
    found = rows(cell(mine("net"), "vmap", "compiled(vmap)"))
    assert found["vmap"].status == "ok"
    assert found["compiled(vmap)"].status == "wrong"
    assert found["compiled(vmap)"].reason.startswith("compiled(vmap) gives another result than vmap: it is off by ")
    assert found["compiled(vmap)"].median_s is None


@pytest.mark.long
def test_a_stochastic_one_is_an_unsupported_row(cell) -> None:
    found = rows(cell(mine("net"), "compiled(hutchinson)"))["compiled(hutchinson)"]
    assert found.status == "unsupported"
    assert "hutchinson draws random probes" in found.reason
