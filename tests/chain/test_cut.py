"""The narrowest cut, and the trace through it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from jacstrat.chain.cut import narrowest
from jacstrat.chain.values import values_of
from jacstrat.trace import record

D = torch.float64
X = torch.randn(3, 5, dtype=D, generator=torch.Generator().manual_seed(0))
DOWN, UP = (torch.randn(*shape, dtype=D, generator=torch.Generator().manual_seed(1)) for shape in ((5, 2), (2, 5)))


def cut_of(f, x: Tensor = X):
    return narrowest(values_of(record(f, x), x))


@pytest.mark.parametrize("x", [X, X[0]], ids=["points", "a point"])
def test_the_trace_through_a_cut_is_that_of_the_jacobian(x: Tensor) -> None:
    def f(x: Tensor) -> Tensor:
        # What is detached, and the shape of x, are there behind the cut.
        constant = x.detach().sigmoid()
        return ((x.sin() @ DOWN).tanh() @ UP).exp() * constant + x.shape[-1]

    cut = cut_of(f, x)
    assert cut is not None
    assert cut.width == 2
    jacobian = torch.func.jacrev(lambda y: ((y.sin() @ DOWN).tanh() @ UP).exp())
    rows = [(point.sigmoid() * jacobian(point).diagonal()).sum() for point in x.reshape(-1, 5)]
    torch.testing.assert_close(cut(x), torch.stack(rows).reshape(x.shape[:-1]))


def test_of_several_the_narrowest_is_taken() -> None:
    one = torch.ones(2, 1, dtype=D)
    cut = cut_of(lambda x: ((x @ DOWN).tanh() @ one).sin() @ one.mT @ UP)
    assert cut is not None
    assert cut.width == 1


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x.sin(),
        lambda x: (x @ DOWN).tanh() @ UP + x,
        lambda x: (x - x.mean(0)).sum(1, keepdim=True).expand(3, 5) * 1.0,
    ],
    ids=["as wide as x", "x goes around it", "points that meet"],
)
def test_there_is_none(f) -> None:
    assert cut_of(f) is None
