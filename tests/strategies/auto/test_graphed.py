"""Graphs among what `auto` chooses from, on a device that has them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from jacstrat import laplacian, parse_strategy
from jacstrat.core.operator import parse_operator
from jacstrat.strategies import graphed
from jacstrat.strategies.auto import candidates, choosing
from jacstrat.strategies.auto.candidates import Evidence
from jacstrat.strategies.auto.counting import OpCounts, product_costs
from jacstrat.strategies.auto.offers import candidates_of
from jacstrat.strategies.auto.rates import Rates
from jacstrat.strategies.auto.trial import Trial
from jacstrat.strategies.graphed import Graphed
from jacstrat.strategies.taylor import Taylor
from jacstrat.strategies.workload import Workload
from tests.strategies.recorder import Recorder

X = torch.linspace(-1, 1, 36, dtype=torch.float64).view(12, 3)
W = torch.randn(3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()


def scalar(x: Tensor) -> Tensor:
    return ((x @ W).tanh() @ W.mT).tanh().sum(-1)


def prepared(spec: str):
    return parse_strategy(spec).prepare("laplacian", scalar, X)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch, recorder: Recorder) -> Recorder:
    monkeypatch.setattr(graphed, "has_graphs", lambda device: True)
    rates = Rates(flops=5e13, bytes=1e12, launch_s=1e-5, sync_s=5e-6)
    for module in (graphed, candidates):
        monkeypatch.setattr(module, "rates_of", lambda device: rates)
    return recorder


def forms_of(leaves: tuple[Tensor, ...] = (), tried: bool = True, operator: str = "laplacian"):
    work = OpCounts(20, 1e4, 1e4)
    plain = parse_operator(operator)
    workload = Workload(X, (), leaves) if tried else None
    evidence = Evidence(plain, X, product_costs(plain, work), work, workload)
    return {one.strategy.spec: one for one in candidates_of(evidence)}


def test_all_that_is_always_exact_and_can_be_captured(device: Recorder) -> None:
    for operator in ("laplacian", "divergence"):
        forms = forms_of(operator=operator)
        plain = {spec for spec in forms if not spec.startswith("graphed")}
        assert {spec for spec in forms if spec not in plain} == {f"graphed({spec})" for spec in plain}
    assert "graphed(taylor)" in forms_of()
    assert not any(spec.startswith("graphed") for spec in forms_of(tried=False))


def test_they_are_predicted_without_the_host_and_take_their_time_to_set_up(device: Recorder) -> None:
    forms = forms_of()
    for spec in ("vmap", "taylor"):
        plain, graph = forms[spec], forms[f"graphed({spec})"]
        assert graph.seconds(X) < plain.seconds(X)
        assert graph.call_s == pytest.approx(3e-5)
        assert graph.setup_s > plain.setup_s
    both = forms_of((W,))["graphed(vmap)"]
    assert both.call_s == pytest.approx(6e-5)


def test_none_without_graphs() -> None:
    assert not any(spec.startswith("graphed") for spec in forms_of())


@pytest.mark.parametrize("tracked", [False, True])
def test_auto_may_choose_one(device: Recorder, monkeypatch: pytest.MonkeyPatch, tracked: bool) -> None:
    """A replay of the recorder takes longer than the call, so that the trial is told what is fast."""

    def told(works, predicted, *args, setup, **others):
        assert works[Graphed(Taylor(compress=not tracked))]() is None
        return Trial({one: [seconds + setup[one], seconds] for one, seconds in predicted.items()})

    monkeypatch.setattr(choosing, "run_trial", told)
    with torch.set_grad_enabled(tracked):
        evaluate = prepared("auto")
        assert isinstance(evaluate.strategy, Graphed)
        assert evaluate.reason.startswith(f"{evaluate.strategy}: ")
        for x in (X, 2 * X):
            torch.testing.assert_close(evaluate(x), laplacian(scalar, x, "vmap"))
        # Direct calls, each of which would capture, go without a graph once f is known to be the same.
        laplacian(scalar, X, "auto")
        count = len(device.graphs)
        torch.testing.assert_close(laplacian(scalar, X, "auto"), laplacian(scalar, X, "vmap"))
        assert len(device.graphs) == count
        # And graphed(auto) is what auto chooses.
        assert prepared("graphed(auto)").strategy == evaluate.strategy
