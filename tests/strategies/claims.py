"""Claims for a witness, right and wrong, and functions of which torch has some derivative wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from jacstrat import Strategy, parse_strategy
from jacstrat.core.operator import OPERATORS
from jacstrat.strategies.checked import checked
from jacstrat.strategies.contraction import Contraction
from jacstrat.strategies.prepared import Prepared
from jacstrat.strategies.witness import Witness

D = torch.float64
X = torch.randn(100, 4, dtype=D, generator=torch.Generator().manual_seed(0))
P = torch.linspace(0.5, 1.5, 4, dtype=D).requires_grad_()
EDGE = "at an edge, such as norm or sqrt at 0, torch's derivative is a convention"

Function = Callable[[Tensor], Tensor]


def cubes(x: Tensor) -> Tensor:
    """A scalar whose H is diagonal, with 6 p_i x_i."""
    return (P * x**3).sum(-1)


def right(x: Tensor) -> Tensor:
    return 6 * (P * x).sum(-1)


def fault(
    claim: Function | None,
    x: Tensor = X,
    f: Function = cubes,
    operator: str = "laplacian",
    stochastic: bool = False,
    tracked: bool | None = None,
    **shown: Any,
) -> str:
    evaluate = claim if claim is not None else uncalled
    return Witness(OPERATORS[operator], f, x).fault(Contraction(evaluate, **shown), stochastic, tracked)


def uncalled(*_: Any) -> Tensor:
    raise AssertionError("called")


def fault_of(spec: str, f: Function, x: Tensor, operator: str = "laplacian", tracked: bool | None = None) -> str:
    """What is wrong with a strategy at f."""
    f = checked(f, OPERATORS[operator])
    contraction = parse_strategy(spec).build(OPERATORS[operator], f, x, (), None)
    assert isinstance(contraction, Contraction)
    return Witness(OPERATORS[operator], f, x).fault(contraction, tracked=tracked)


def trusted(strategy: Strategy | str, operator: str, f: Function, x: Tensor) -> Prepared:
    """An operator by a strategy that is held against no witness."""
    prepared, *_ = parse_strategy(strategy)._prepared(OPERATORS[operator], f, x, (), 1, None)
    prepared.trust()
    return prepared


def normed(x: Tensor) -> Tensor:
    return nn.functional.layer_norm(x @ W.T, (5,)).tanh().sum(-1)


def natively_normed(x: Tensor) -> Tensor:
    """The same by the operation that nothing stands in for where gradients are tracked."""
    return torch.native_layer_norm(x @ W.T, (5,), None, None, 1e-5)[0].tanh().sum(-1)


def normed_by_hand(x: Tensor) -> Tensor:
    z = x @ W.T
    z = z - z.mean(-1, keepdim=True)
    return (z / torch.sqrt(z.square().mean(-1, keepdim=True) + 1e-5)).tanh().sum(-1)


def log_determinant(x: Tensor) -> Tensor:
    return torch.linalg.slogdet(torch.einsum("...i,ijk->...jk", x.sin(), A) + 3 * torch.eye(4, dtype=x.dtype))[1]


W = torch.randn(5, 4, dtype=D, generator=torch.Generator().manual_seed(1))
A = torch.randn(4, 4, 4, dtype=D, generator=torch.Generator().manual_seed(2))


def cubes_of(weight: Tensor) -> Function:
    return lambda x: (weight * x * x * x).sum(-1)
