"""Dense matrices point by point: f sees rows of one, and is refused where a row by itself is another."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from jacstrat import UnsupportedError, parse_strategy
from jacstrat.core.operator import OPERATORS

D = torch.float64
X = torch.randn(3, 4, dtype=D, generator=torch.Generator().manual_seed(0))
STRATEGIES = [("jacrev", "divergence"), ("jacfwd", "divergence"), ("jacrev", "laplacian"), ("hessian", "laplacian")]


def build(spec: str, operator: str, f, x: Tensor = X, args: tuple = ()):
    return parse_strategy(spec).build(OPERATORS[operator], f, x, args, None)


@pytest.mark.parametrize(("spec", "operator"), STRATEGIES)
def test_f_sees_rows_of_one_with_their_arguments(spec: str, operator: str) -> None:
    shapes = set()

    def f(x: Tensor, t: Tensor, W: Tensor) -> Tensor:
        shapes.add((tuple(x.shape), tuple(t.shape), tuple(W.shape)))
        y = t * x.pow(3)
        return y if operator == "divergence" else y.sum(-1)

    args = torch.ones(3, 1, dtype=D), torch.ones(4, 4, dtype=D)
    contraction = build(spec, operator, f, X, args)
    shapes.clear()
    expected = (3 * X.square() if operator == "divergence" else 6 * X).sum(-1)
    torch.testing.assert_close(contraction.evaluate(X, *args), expected)
    assert shapes == {((1, 4), (1, 1), (4, 4))}


@pytest.mark.parametrize(("spec", "operator"), STRATEGIES)
def test_a_few_entries_are_those_of_the_diagonal(spec: str, operator: str) -> None:
    def f(x: Tensor) -> Tensor:
        return x.pow(3) if operator == "divergence" else x.pow(3).sum(-1)

    found = build(spec, operator, f).entries(torch.tensor([2, 0]), X)
    torch.testing.assert_close(found, (3 * X.square() if operator == "divergence" else 6 * X)[:, [2, 0]])


@pytest.mark.parametrize(("spec", "operator"), STRATEGIES)
def test_an_f_that_holds_a_tensor_of_rows_is_refused(spec: str, operator: str) -> None:
    held = torch.ones(3, 1, dtype=D)
    words = f"^{spec} takes points one by one, and f .*; use vmap$"
    with pytest.raises(UnsupportedError, match=words):
        build(spec, operator, lambda x: x * held if operator == "divergence" else (x * held).sum(-1))


def test_the_hessian_of_a_field_is_refused() -> None:
    strategy = parse_strategy("hessian")
    assert strategy.refuse(OPERATORS["divergence"]) == "a field has no Hessian; use jacrev or jacfwd"
    assert strategy.refuse(OPERATORS["hessian_diagonal"]) is None
