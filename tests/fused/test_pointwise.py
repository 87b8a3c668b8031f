"""The table of pointwise functions: three derivatives each against autograd."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from jacstrat.fused.pointwise import FORMULAS, Formula

aten = torch.ops.aten
V = torch.linspace(-3.1, 3.2, 60, dtype=torch.float64)
# What is asked for, its formula, and where.
CASES: dict[str, tuple[Callable[[Tensor], Tensor], Formula | None, Tensor]] = {
    "tanh": (torch.tanh, FORMULAS[aten.tanh.default](), V),
    "sigmoid": (torch.sigmoid, FORMULAS[aten.sigmoid.default](), V),
    "sin": (torch.sin, FORMULAS[aten.sin.default](), V),
    "cos": (torch.cos, FORMULAS[aten.cos.default](), V),
    "exp": (torch.exp, FORMULAS[aten.exp.default](), V),
    "log": (torch.log, FORMULAS[aten.log.default](), V.abs()),
    "log1p": (torch.log1p, FORMULAS[aten.log1p.default](), V.abs()),
    "sqrt": (torch.sqrt, FORMULAS[aten.sqrt.default](), V.abs()),
    "rsqrt": (torch.rsqrt, FORMULAS[aten.rsqrt.default](), V.abs()),
    "reciprocal": (torch.reciprocal, FORMULAS[aten.reciprocal.default](), V),
    "erf": (torch.erf, FORMULAS[aten.erf.default](), V),
    "silu": (functional.silu, FORMULAS[aten.silu.default](), V),
    "gelu": (functional.gelu, FORMULAS[aten.gelu.default](), V),
    "gelu_tanh": (lambda v: functional.gelu(v, approximate="tanh"), FORMULAS[aten.gelu.default](approximate="tanh"), V),
    "softplus": (lambda v: functional.softplus(v, 2.0, 3.0), FORMULAS[aten.softplus.default](2.0, 3.0), V),
    "relu": (torch.relu, FORMULAS[aten.relu.default](), V),
    "leaky_relu": (lambda v: functional.leaky_relu(v, 0.2), FORMULAS[aten.leaky_relu.default](0.2), V),
    "elu": (lambda v: functional.elu(v, 0.7), FORMULAS[aten.elu.default](0.7), V),
    "hardtanh": (functional.relu6, FORMULAS[aten.hardtanh.default](0, 6), V),
    "abs": (torch.abs, FORMULAS[aten.abs.default](), V),
    "square": (torch.square, FORMULAS[aten.pow.Tensor_Scalar](2), V),
    "cube": (lambda v: v**3, FORMULAS[aten.pow.Tensor_Scalar](3), V),
    "fourth": (lambda v: v**4, FORMULAS[aten.pow.Tensor_Scalar](4), V),
}


@pytest.mark.parametrize("name", CASES)
def test_a_formula_has_the_derivatives_that_autograd_has(name: str) -> None:
    s, formula, v = CASES[name]
    assert formula is not None
    v = v.clone().requires_grad_()
    derivative, expected = s(v), []
    for _ in range(4):
        expected.append(derivative.detach())
        if derivative.requires_grad:
            (derivative,) = torch.autograd.grad(derivative.sum(), v, create_graph=True)
        else:
            derivative = torch.zeros_like(v)
    for found, known in zip(formula(v.detach()), expected, strict=True):
        torch.testing.assert_close(found, known)
    assert formula.is_piecewise == (not bool(expected[2].any()))
    assert formula.is_singular == (not bool(s(torch.zeros(1)).isfinite()) or name == "sqrt")


def test_every_operation_of_the_table_is_tried() -> None:
    tried = {formula.name for _, formula, _ in CASES.values() if formula}
    assert len(tried) == len(CASES)
    assert len(FORMULAS) == len(CASES) - 3  # gelu has two, and whole powers are one operation
