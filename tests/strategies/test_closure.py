"""What a function reads beside its arguments, and other tensors in its place."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from jacstrat import UnsupportedError
from jacstrat.strategies.closure import closed_over


def test_what_a_function_closes_over_is_found_once_each() -> None:
    W, b, c = torch.nn.Parameter(torch.randn(3, 5)), torch.randn(5), torch.tensor(2.0)
    flat, base = torch.randn(10), torch.randn(2, 5, requires_grad=True)
    A, B, row = flat[:5], flat[5:], base[0]

    def f(x: Tensor, t: Tensor) -> Tensor:
        h = (x @ W.t().mT + b).tanh() * row * c + A + B
        inner = h.detach().requires_grad_()
        with torch.enable_grad():
            (g,) = torch.autograd.grad(inner.sin().sum(), inner)
        return (h + g + W.sum()).sum(-1) * t

    found = closed_over(f, torch.randn(4, 3), (torch.tensor(1.0),))
    assert sorted(map(id, found)) == sorted(map(id, (W, b, c, A, B, row)))


def test_an_f_that_draws_says_so() -> None:
    with pytest.raises(UnsupportedError, match=r"^the function draws random numbers, by aten.randn.default, at every"):
        closed_over(lambda x: x + torch.randn(3), torch.zeros(3))
