"""What `auto` chose among: the counts of every candidate, the times, and why some fell out."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from jacstrat import parse_strategy
from jacstrat.strategies.auto import strategy as strategy_module
from jacstrat.strategies.auto import trial


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 1))


def test_every_candidate_has_its_counts_and_the_choice_comes_first(network) -> None:
    prepared = parse_strategy("auto").prepare("laplacian", network, torch.randn(3, 5))
    rows = {one.strategy: one for one in prepared.considered}
    assert {"identity", "vmap", "taylor:compress=false"} <= set(rows)
    assert rows["identity"].probes == 5
    for one in rows.values():
        assert one.operations > 0
        assert one.flops > 0
        assert one.written_bytes > 0
        assert one.alive_bytes > 0
        assert one.predicted_s > 0
    assert rows[prepared.strategy.spec].measured_s > 0
    assert not rows[prepared.strategy.spec].failure
    assert rows["taylor:compress=false"].setup_s > 0


def test_without_a_trial_nothing_is_measured_and_the_order_is_that_of_the_counts(network) -> None:
    prepared = parse_strategy("auto:trial=false").prepare("laplacian", network, torch.randn(3, 5))
    assert {one.measured_s for one in prepared.considered} == {None}
    predicted = [one.predicted_s for one in prepared.considered]
    assert predicted == sorted(predicted)
    assert prepared.considered[0].strategy == prepared.strategy.spec


def test_a_proof_is_the_ground_of_what_rests_on_it() -> None:
    strategy_module.CHOICE_CACHE.forget()
    prepared = parse_strategy("auto").prepare("divergence", lambda x: x.sin(), torch.randn(64, 300))
    grounds = {one.strategy: one.ground for one in prepared.considered}
    assert not grounds["vmap"]
    assert all("diagonal" in ground for spec, ground in grounds.items() if spec in ("ones", "coloring"))


def test_what_fell_out_comes_last_with_the_reason(monkeypatch) -> None:
    monkeypatch.setattr(trial, "ALLOWANCE_S", 5.0)  # on a busy machine, too, all are tried
    strategy_module.CHOICE_CACHE.forget()

    class Once(torch.autograd.Function):  # no rule for vmap: all that batches its products falls out
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.sin()

        @staticmethod
        def backward(ctx, cotangent):
            (x,) = ctx.saved_tensors
            return cotangent * x.cos()

    prepared = parse_strategy("auto").prepare("divergence", lambda x: Once.apply(x), torch.randn(2, 3))
    failed = [bool(one.failure) for one in prepared.considered]
    assert failed == sorted(failed)
    failures = {one.strategy: one.failure for one in prepared.considered if one.failure}
    assert "RuntimeError" in failures["vmap"]
    assert prepared.strategy.spec not in failures


def test_a_strategy_that_was_asked_for_compares_nothing(network) -> None:
    assert parse_strategy("vmap").prepare("laplacian", network, torch.randn(3, 5)).considered == ()
