"""Norms in plain words have the value of torch's, and the third derivative that torch's lack."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from jacstrat.series.norms import PlainNorms

D = torch.float64
X = torch.randn(2, 4, 5, dtype=D, generator=torch.Generator().manual_seed(0))
W, B = torch.linspace(0.5, 1.5, 5, dtype=D), torch.linspace(-1, 1, 5, dtype=D)
C = torch.linspace(0.5, 1.5, 4, dtype=D)
NORMS = {
    "layer": lambda x: functional.layer_norm(x, (5,), W, B),
    "layer without weights": lambda x: torch.layer_norm(x, (4, 5), eps=1e-2),
    "instance": lambda x: functional.instance_norm(x, weight=C, bias=-C, eps=1e-3),
    "instance by torch": lambda x: torch.instance_norm(x, None, -C, None, None, True, 0.1, 1e-3, False),
    "instance without weights": lambda x: functional.instance_norm(x),
}


def by_hand(x: Tensor) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * W + B


@pytest.mark.parametrize("name", NORMS)
def test_the_value_is_that_of_torch_and_its_own_operation_is_not_called(name: str) -> None:
    x = X.clone().requires_grad_()
    with PlainNorms():
        found = NORMS[name](x)
    torch.testing.assert_close(found.detach(), NORMS[name](X))
    names, queue = set(), [found.grad_fn]
    while queue:
        node = queue.pop()
        names.add(type(node).__name__)
        queue += [parent for parent, _ in node.next_functions if parent is not None]
    assert not any("Norm" in one for one in names)


def test_running_statistics_are_left_to_torch_and_follow() -> None:
    mean, var = torch.zeros(4, dtype=D), torch.ones(4, dtype=D)
    with PlainNorms():
        functional.instance_norm(X, mean, var)
    assert bool((mean != 0).all())
    given = (None, None, mean.clone(), var.clone(), True, 0.1, 1e-5, False)
    with PlainNorms():
        found = torch.instance_norm(X, *given)
    torch.testing.assert_close(found, torch.instance_norm(X, *given))


def test_the_third_derivative_is_that_of_the_definition() -> None:
    def third(norm) -> Tensor:
        s = torch.zeros((), dtype=D, requires_grad=True)
        y = norm(X[0, 0] + s * X[1, 1]).square().sum()
        for _ in range(3):
            (y,) = torch.autograd.grad(y, s, create_graph=True)
        return y

    with PlainNorms():
        found = third(NORMS["layer"])
    torch.testing.assert_close(found, third(by_hand))
