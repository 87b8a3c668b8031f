"""Kernels among what `auto` chooses from, on a device that has them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from jacstrat import UnsupportedError, parse_strategy
from jacstrat.core.operator import parse_operator
from jacstrat.fused import has_triton, kernels
from jacstrat.strategies import fused
from jacstrat.strategies.auto import choosing
from jacstrat.strategies.auto.candidates import Candidate, Evidence
from jacstrat.strategies.auto.counting import OpCounts, product_costs
from jacstrat.strategies.auto.strategy import CHOICE_CACHE
from jacstrat.strategies.auto.trial import Trial
from jacstrat.strategies.fused import COMPILE_S, Fused
from jacstrat.strategies.workload import Workload

N = 3
X = torch.linspace(-1, 1, 4 * N, dtype=torch.float64).view(4, N)
NET = nn.Sequential(nn.Linear(N, 6), nn.Tanh(), nn.Linear(6, 5), nn.SiLU(), nn.Linear(5, 1)).double()
WEIGHTS = [one for one in NET.parameters() if one.shape != (1,)]  # the last bias is none of a Laplacian's matter

pytestmark = pytest.mark.skipif(not has_triton(), reason="Triton is not installed")


def scalar(x: Tensor) -> Tensor:
    return NET(x).squeeze(-1)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU as a device that has kernels: Triton's interpreter executes them."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setattr(fused, "has_kernels", lambda device: True)
    monkeypatch.setenv("JACSTRAT_CACHE", "off")
    CHOICE_CACHE.forget()


def offered(leaves: tuple[Tensor, ...] = (), compiles: bool = True, tried: bool = True) -> list[Candidate]:
    plain, work = parse_operator("laplacian"), OpCounts(20, 1e4, 1e4)
    workload = Workload(X, (), leaves) if tried else None
    evidence = Evidence(plain, X, product_costs(plain, work), work, workload, compiles=compiles)
    return list(Fused.candidates(evidence))


@pytest.mark.usefixtures("device")
def test_it_is_offered_to_who_waits_for_a_compiler() -> None:
    (evaluated,), (trained,) = offered(), offered((X,))
    assert evaluated.strategy == trained.strategy == Fused()
    assert trained.setup_s - evaluated.setup_s == COMPILE_S  # of the kernel of gradients
    assert offered(compiles=False) == offered(tried=False) == offered((X,), compiles=False) == []


def test_an_interpreter_is_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert not kernels.has_kernels(X.device)
    assert offered() == []
    monkeypatch.delenv("TRITON_INTERPRET")
    assert not kernels.has_kernels(X.device), "the CPU has none of its own"


@pytest.mark.usefixtures("device")
@pytest.mark.parametrize("train", [False, True])
def test_auto_may_choose_it(monkeypatch: pytest.MonkeyPatch, train: bool) -> None:
    """The interpreter takes longer than any other, so that the trial is told what is fast."""

    def told(works: Any, *_: object, **__: object) -> Trial[Any]:
        assert works[Fused()]() is None
        return Trial({Fused(): [1.0, 0.0]})

    monkeypatch.setattr(choosing, "run_trial", told)
    with torch.set_grad_enabled(train):
        found = parse_strategy("auto:compile=true").prepare("laplacian", scalar, X)
        assert found.strategy == Fused()
        result, expected = (one(X) for one in (found, parse_strategy("vmap").prepare("laplacian", scalar, X)))
    torch.testing.assert_close(result, expected)
    if train:
        pairs = (torch.autograd.grad(one.square().sum(), WEIGHTS) for one in (result, expected))
        for one, known in zip(*pairs, strict=True):
            torch.testing.assert_close(one, known)


@pytest.mark.usefixtures("device")
def test_a_gradient_that_is_wrong_is_found_and_another_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    gradients = fused.Lowered.gradients

    def wrong(*given: Any) -> tuple[Tensor | None, ...]:
        return tuple(None if one is None else 1.5 * one for one in gradients(*given))

    monkeypatch.setattr(fused.Lowered, "gradients", wrong)
    with pytest.raises(UnsupportedError, match="has a gradient in what f holds that is off by"):
        parse_strategy("fused").prepare("laplacian", scalar, X)

    def told(works: Any, *_: object, **__: object) -> Trial[Any]:
        others = [one for one in works if one != Fused() and not one.compiles]
        return Trial({Fused(): [1.0, 0.0], **{one: [2.0, 2.0] for one in others}})

    monkeypatch.setattr(choosing, "run_trial", told)
    found = parse_strategy("auto:compile=true").prepare("laplacian", scalar, X)
    assert found.strategy != Fused()
    assert "fused" in found.reason
