"""Functions that write into what they hold, and those that write into what they make."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from jacstrat import UnsupportedError, divergence
from jacstrat.strategies.held_writes import HeldWrites

D = torch.float64
X = torch.randn(6, 3, dtype=D, generator=torch.Generator().manual_seed(0))
COUNT, BUFFER = torch.zeros((), dtype=D), torch.zeros(2, 3, dtype=D)


def counts(x: Tensor) -> Tensor:
    COUNT.add_(1)
    return x.sin()


def fills_a_row(x: Tensor) -> Tensor:
    BUFFER[1] = x.detach()[0]
    return x.sin()


def writes_out(x: Tensor) -> Tensor:
    torch.add(BUFFER, 1, out=BUFFER)
    return x.sin()


def writes_into_its_own(x: Tensor) -> Tensor:
    y = torch.zeros_like(x)
    y[:, 0] = x[:, 0]
    return y.add_(BUFFER[0]).mul_(2)


@pytest.mark.parametrize("f", [counts, fills_a_row, writes_out, nn.BatchNorm1d(3).to(D)])
def test_writes_are_seen(f: Callable[[Tensor], Tensor]) -> None:
    with HeldWrites(X) as writes:
        f(X)
    assert writes.seen


@pytest.mark.parametrize("f", [torch.sin, writes_into_its_own, nn.BatchNorm1d(3).to(D).eval(), nn.Linear(3, 3).to(D)])
def test_writes_into_what_it_makes_are_none(f: Callable[[Tensor], Tensor]) -> None:
    with HeldWrites(X) as writes:
        f(X)
    assert not writes.seen


@pytest.mark.parametrize("strategy", ["auto", "identity"])
def test_a_power_iteration_in_training_mode_is_left_to_one_evaluation_by_reverse_mode(strategy: str) -> None:
    torch.manual_seed(0)
    layer = nn.utils.parametrizations.spectral_norm(nn.Linear(3, 3).to(D)).train()
    for _ in range(50):  # it has converged: to what it gives at a call of its own
        layer(X)
    found = divergence(lambda x: layer(x).sin(), X, strategy)
    weight = layer.weight.detach()
    wanted = ((X @ weight.mT + layer.bias).cos() * weight.diagonal()).sum(-1)
    torch.testing.assert_close(found.detach(), wanted.detach())
    assert found.requires_grad


@pytest.mark.parametrize("strategy", ["auto", "identity", "vmap"])
@pytest.mark.parametrize("B", [3, 6, 40])
def test_rows_that_depend_on_each_other_are_refused_in_words(strategy: str, B: int) -> None:
    norm, x = nn.BatchNorm1d(3).to(D), torch.randn(B, 3, dtype=D)
    functions: list[Callable[[Tensor], Tensor]] = [lambda x: (x - x.mean(0)).sin(), lambda x: x.softmax(0)]
    for f in (*functions, *([lambda x: norm(x).sin()] if strategy != "vmap" else [])):
        with pytest.raises(UnsupportedError, match="its rows depend on each other, as by a batch norm in training m"):
            divergence(f, x, strategy)
    norm.eval()
    divergence(lambda x: norm(x).sin(), x, strategy)
