"""Claims of several outputs, of diagonals and of the bilaplacian reach the witness, each output by itself."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from jacstrat import parse_strategy
from jacstrat.core.operator import OPERATORS
from jacstrat.strategies.contraction import Contraction
from jacstrat.strategies.hold import Hold
from tests.share import shared

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


# Functions of which the operator is 0, as a sum of terms, or in each of its terms, beside others that are not.
NOTHING = {
    "product": ("laplacian", lambda x: x.prod(-1)),
    "determinants": ("laplacian", lambda x: torch.linalg.det(x.reshape(-1, 2, 2))),
    "harmonic": ("laplacian", lambda x: 1 / x[:, :3].norm(dim=-1)),
    "harmonic twice": ("bilaplacian", lambda x: 1 / x[:, :3].norm(dim=-1)),
    "biharmonic": ("bilaplacian", lambda x: x[:, :2].square().sum(-1) * x[:, :2].square().sum(-1).log()),
    "quadratic": ("bilaplacian", lambda x: x.norm(dim=-1) ** 2),
    "several": ("bilaplacian", lambda x: torch.stack((x.norm(dim=-1) ** 2, 1 / x[:, :3].norm(dim=-1)), -1)),
    "rotation": ("divergence", lambda x: torch.stack((x[:, 1], -x[:, 0], x[:, 3] * x[:, 0], x[:, 1]), -1)),
}


PAIRS = (
    *((name, spec) for name in NOTHING for spec in ("vmap", "coloring")),
    *((name, "taylor") for name in NOTHING if name != "rotation"),
    ("rotation", "chain"),
)


@pytest.mark.long(but_one_in=5)
@pytest.mark.parametrize(
    ("name", "spec", "dtype"),
    [
        (*pair, dtype)
        for row, pair in enumerate(PAIRS)
        for column, dtype in enumerate((torch.float32, D))
        if shared(row, column, share=4)
    ],
)
def test_what_rounding_leaves_of_nothing_is_no_fault(name: str, spec: str, dtype: torch.dtype) -> None:
    operator, f = NOTHING[name]
    x = torch.randn(6, 4, generator=torch.Generator().manual_seed(0), dtype=D).to(dtype)
    for training in (False, True):
        with torch.set_grad_enabled(training):
            found = parse_strategy(spec).prepare(operator, f, x)(x)
        assert float(found.abs().max()) < (1e-10 if dtype == D else 1e-2)


def test_what_is_no_rounding_is_a_fault_still() -> None:
    f = NOTHING["product"][1]
    hold = Hold(OPERATORS["laplacian"], f, X, ())
    assert hold.fault(Contraction(lambda x: 0 * x.sum(-1))) == ""
    assert hold.fault(Contraction(lambda x: 1e-10 + 0 * x.sum(-1))) == "gives 1e-10 where the sum of |H_ii| is 0"


@pytest.mark.parametrize("dtype", [torch.float32, D])
def test_what_stands_beside_a_diagonal_hides_no_fault_in_it(dtype: torch.dtype) -> None:
    x = X[:, :3].to(dtype)
    for beside in (lambda x: 1e6, lambda x: 1e3 * x.roll(1, -1), lambda x: 1e5 * x.roll(1, -1)):
        hold = Hold(OPERATORS["divergence"], lambda x, beside=beside: x.sin() + beside(x), x, ())
        assert hold.fault(Contraction(lambda x: x.cos().sum(-1))) == ""
        assert hold.fault(Contraction(lambda x: 2 * x.cos().sum(-1))).startswith("is off by")


@pytest.mark.parametrize("n", [2, 3, 6])
@pytest.mark.parametrize("spec", ["taylor", "coloring", "chain", "vmap", "jacrev"])
def test_as_many_points_as_coordinates(spec: str, n: int) -> None:
    torch.manual_seed(0)
    outputs = n if spec == "chain" else 1
    net = torch.nn.Sequential(torch.nn.Linear(n, 8), torch.nn.Tanh(), torch.nn.Linear(8, outputs)).double()
    x = torch.randn(n, n, dtype=D, requires_grad=True)
    prepared = parse_strategy(spec).prepare("divergence" if spec == "chain" else "laplacian", net, x)
    assert prepared(x).shape == ((n,) if spec == "chain" else (n, 1))
