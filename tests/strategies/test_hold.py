"""Claims of several outputs, of diagonals and of the bilaplacian reach the witness, each output by itself."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from jacstrat.core.operator import OPERATORS
from jacstrat.strategies.contraction import Contraction
from jacstrat.strategies.hold import Hold

D = torch.float64
X = torch.randn(6, 3, dtype=D, generator=torch.Generator().manual_seed(0)) + 2
M = torch.tensor([1.0, -2.0], dtype=D)
points = pytest.mark.parametrize("x", [X, X[0]], ids=["points", "a point"])


def outputs(x: Tensor) -> Tensor:
    """(..., 2): H_ii = 20 m x_i^3, the bilaplacian 120 m sum x."""
    return x.pow(5).sum(-1, keepdim=True) * M


outputs.outputs = 2  # type: ignore[attr-defined]


def one(x: Tensor) -> Tensor:
    return outputs(x)[..., 1]


CLAIMS = {
    "laplacian": lambda x: 20 * x.pow(3).sum(-1, keepdim=True) * M,
    "hessian_diagonal": lambda x: 20 * x.pow(3).unsqueeze(-2) * M.unsqueeze(-1),
    "bilaplacian": lambda x: 120 * x.sum(-1, keepdim=True) * M,
}


@points
@pytest.mark.parametrize("operator", CLAIMS)
def test_a_right_claim_of_several_outputs_is_right_and_one_wrong_output_is_seen(operator: str, x: Tensor) -> None:
    hold = Hold(OPERATORS[operator], outputs, x, ())
    claim = CLAIMS[operator]
    assert hold.fault(Contraction(claim)) == ""
    off = torch.tensor([1.0, 1.01], dtype=D)
    off = off.unsqueeze(-1) if operator == "hessian_diagonal" else off
    assert hold.fault(Contraction(lambda x: claim(x) * off)).startswith("is off by")
    # Outputs in each other's place.
    axis = -2 if operator == "hessian_diagonal" else -1
    assert hold.fault(Contraction(lambda x: claim(x).flip(axis))).startswith("is off by")


@points
def test_a_claim_of_one_output_is_held_as_it_is(x: Tensor) -> None:
    hold = Hold(OPERATORS["bilaplacian"], one, x, ())
    assert hold.fault(Contraction(lambda x: -240 * x.sum(-1))) == ""
    assert hold.fault(Contraction(lambda x: -241 * x.sum(-1))).startswith("is off by")


def test_arguments_of_rows_go_with_their_rows() -> None:
    t = torch.linspace(1, 2, 6, dtype=D).unsqueeze(-1)

    def f(x: Tensor, t: Tensor) -> Tensor:
        return outputs(x) * t

    f.outputs = 2  # type: ignore[attr-defined]
    hold = Hold(OPERATORS["laplacian"], f, X, (t,))
    assert hold.fault(Contraction(lambda x, t: CLAIMS["laplacian"](x) * t)) == ""
    assert hold.fault(Contraction(lambda x, t: CLAIMS["laplacian"](x))).startswith("is off by")


def test_of_a_stochastic_claim_of_several_outputs_a_few_directions_are_asked_for() -> None:
    asked = []

    def along(V: Tensor, x: Tensor) -> Tensor:
        asked.append(len(V))
        return (20 * x.pow(3) * V.square().sum(0)).sum(-1, keepdim=True) * M

    def uncalled(x: Tensor) -> Tensor:
        raise AssertionError("a draw is no claim")

    hold = Hold(OPERATORS["laplacian"], outputs, X, ())
    assert hold.fault(Contraction(uncalled, along=along), stochastic=True) == ""
    assert asked
    wrong = Contraction(uncalled, along=lambda V, x: 1.5 * along(V, x))
    assert hold.fault(wrong, stochastic=True).startswith("is off by")
