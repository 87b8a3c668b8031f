"""What a strategy builds for one output serves several: each part is that of every output, in its place."""

from __future__ import annotations

import torch
from torch import Tensor

from jacstrat.core.operator import OPERATORS
from jacstrat.strategies.contraction import Contraction, Estimate, Together, alike, contraction_of, of_outputs
from jacstrat.strategies.copies import Copies
from jacstrat.strategies.reduction import outputs_of

X = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
M = torch.tensor([1.0, -2.0])


def outputs(x: Tensor) -> Tensor:
    """m times the sum of cubes: gradient 3 m x^2, Laplacian 6 m sum x."""
    return x.pow(3).sum(-1, keepdim=True) * M


def of_one(x: Tensor, *args: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Laplacian, value and gradient of the output that the last argument picks."""
    factor = args[-1] @ M
    column = factor.unsqueeze(-1)
    return 6 * factor * x.sum(-1), factor * x.pow(3).sum(-1), 3 * column * x.square()


def built(is_trace: bool) -> Contraction:
    def evaluate(x: Tensor, *args: Tensor) -> Tensor:
        return of_one(x, *args)[0] if is_trace else 6 * (args[-1] @ M).unsqueeze(-1) * x

    return Contraction(
        evaluate,
        estimate=lambda x, *args: Estimate(evaluate(x, *args), None),
        together=lambda x, *args: Together(*of_one(x, *args)),
        entries=lambda c, x, *args: x,
        along=lambda V, x, *args: x,
        reason="why",
    )


def test_a_trace_has_the_outputs_last_and_so_have_value_and_gradient_theirs() -> None:
    several = of_outputs(built(is_trace=True), Copies.of(2, X), OPERATORS["laplacian"])
    torch.testing.assert_close(several.evaluate(X), 6 * X.sum(-1, keepdim=True) * M)
    assert several.together is not None
    result, value, gradient = several.together(X)
    torch.testing.assert_close(result, several.evaluate(X))
    torch.testing.assert_close(value, outputs(X))
    torch.testing.assert_close(gradient, 3 * M.view(2, 1) * X.square().unsqueeze(1))
    assert several.estimate is not None
    estimated = several.estimate(X)
    torch.testing.assert_close(estimated.value, result)
    assert estimated.std_error is None


def test_a_diagonal_has_the_outputs_in_front_of_the_coordinates() -> None:
    several = of_outputs(built(is_trace=False), Copies.of(2, X), OPERATORS["hessian_diagonal"])
    torch.testing.assert_close(several.evaluate(X), 6 * M.view(2, 1) * X.unsqueeze(1))


def test_what_is_of_one_output_is_not_handed_on_and_the_rest_is() -> None:
    several = of_outputs(Contraction(lambda x, *args: x.sum(-1), reason="why"), Copies.of(2, X), OPERATORS["laplacian"])
    assert (several.estimate, several.together, several.entries, several.along) == (None,) * 4
    assert several.reason == "why"
    assert of_outputs(built(True), Copies.of(2, X), OPERATORS["laplacian"]).entries is None


def test_a_callable_is_a_contraction_and_one_stays_itself() -> None:
    one = built(True)
    assert contraction_of(one) is one
    assert contraction_of(torch.sin).evaluate is torch.sin


def test_a_function_has_as_many_outputs_as_the_one_that_it_is_like() -> None:
    def f(x: Tensor) -> Tensor:
        return outputs(x)

    f.outputs = 2  # type: ignore[attr-defined]
    inner = alike(lambda x, t: x * t, f)
    assert outputs_of(inner) == 2
    assert inner(3, 2) == 6
    assert outputs_of(alike(torch.sin, torch.cos)) is None
