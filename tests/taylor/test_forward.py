"""Operations of which forward mode twice is taken to be right, each within a function: against the witness."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from jacstrat import parse_strategy
from jacstrat.core.operator import OPERATORS
from jacstrat.strategies.checked import checked
from jacstrat.strategies.contraction import Contraction
from jacstrat.strategies.witness import Witness
from jacstrat.taylor import Scalar, Untraceable, fallback
from jacstrat.taylor.forward import FORWARD_TWICE, NAMES
from jacstrat.taylor.table import TAYLOR_RULES
from tests.taylor.forward import FUNCTIONS, Function, N, other, square

pytestmark = pytest.mark.long(but_one_in=3)

D = torch.float64
X = torch.randn(3, 4, dtype=D, generator=torch.Generator().manual_seed(0))
A = 0.6 * torch.randn(4, N, dtype=D, generator=torch.Generator().manual_seed(1))


def scalar(function: Function, parameter: Tensor) -> Function:
    """The function between a layer with a parameter and a sine, so that its third derivatives count in gradients."""

    def f(x: Tensor) -> Tensor:
        y = function((x @ A) * parameter).flatten(1)
        return (y * torch.linspace(0.5, 1.5, y.shape[-1], dtype=y.dtype)).sin().sum(-1)

    return f


def test_every_operation_has_a_function() -> None:
    assert FUNCTIONS.keys() == set(NAMES)
    assert len(FORWARD_TWICE) == len(NAMES) == len(set(NAMES))


def test_what_has_a_rule_needs_no_other() -> None:
    assert TAYLOR_RULES.keys().isdisjoint(FORWARD_TWICE)


def faults(f: Function) -> tuple[str, str]:
    """What is wrong with `taylor` at f: in its value, and with gradients in the parameter and x looked at, too."""
    f = checked(f, OPERATORS["laplacian"])
    claim = parse_strategy("taylor").build(OPERATORS["laplacian"], f, X, (), None)
    assert isinstance(claim, Contraction)
    assert claim.reason == "", "it was done by products"
    witness = Witness(OPERATORS["laplacian"], f, X.clone().requires_grad_())
    return witness.fault(claim, tracked=False), witness.fault(claim, tracked=True)


def parameter() -> Tensor:
    return torch.linspace(0.7, 1.4, N, dtype=D).requires_grad_()


@pytest.mark.parametrize("name", NAMES)
def test_the_laplacian_and_its_gradient_are_right(name: str) -> None:
    f = scalar(FUNCTIONS[name], parameter())
    program = Scalar(f).tape(X)
    assert not isinstance(program, Untraceable), program
    ops = {str(node.op).removeprefix("aten.").removesuffix(".default") for node in program.nodes if node.varies}
    assert name in ops
    assert faults(f) == ("", "")


WRONG = {
    torch.ops.aten._linalg_solve_ex.default: lambda z: torch.linalg.solve(square(z), other(z)[:, :2]),
    torch.ops.aten._linalg_slogdet.default: lambda z: torch.linalg.slogdet(square(z))[1].unsqueeze(-1),
}


@pytest.mark.parametrize("op", WRONG, ids=str)
def test_what_is_not_in_the_table_would_be_seen_to_be_wrong(op: object, monkeypatch: pytest.MonkeyPatch) -> None:
    f = scalar(WRONG[op], parameter())
    assert faults(f) == ("", "")
    monkeypatch.setattr(fallback, "FORWARD_TWICE", {op})
    assert faults(f)[0].startswith("is off by ")
