"""Every rule against nested reverse mode of the operation alone, and that against closed forms."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from jacstrat.core.errors import UnsupportedError
from jacstrat.series.decompositions import DECOMPOSITIONS as REWRITTEN
from jacstrat.series.engine import _done
from jacstrat.series.operations import by_derivatives
from jacstrat.series.series import TaylorSeries, value_of
from jacstrat.series.table import RULES
from jacstrat.taylor.fallback import ANY
from jacstrat.taylor.node import TaylorNode
from jacstrat.taylor.rule import TaylorCall
from jacstrat.taylor.table import RULES as LINEAR
from tests.series.samples import OWN
from tests.taylor.samples import SAMPLES, draw
from tests.taylor.test_table import WORDS, marked, replaced

aten = torch.ops.aten
K, D = 3, 2
CASES = [
    pytest.param(op, args, kwargs, id=f"{getattr(op, '__name__', op)}-{number}")
    for table in (SAMPLES, OWN)
    for op, samples in table.items()
    for number, (args, kwargs) in enumerate(samples)
    # What is recorded in words of others never comes; torch's derivatives of it may be wrong.
    if op not in REWRITTEN
]


# Outputs that are used; the others are for the way back.
USED = {
    aten.log_sigmoid_forward.default: (True, False),
    aten.linalg_inv_ex.default: (True, False),
    aten._linalg_solve_ex.default: (True, False, False, False),
    aten.linalg_cholesky_ex.default: (True, False),
    aten._linalg_slogdet.default: (False, True, False, False),
}


def series(value: Tensor, degree: int, number: int) -> TaylorSeries:
    """A series with coefficients of its own, those of odd numbers the same along the first axis."""
    shape = (1, *value.shape[1:]) if number % 2 and value.dim() else value.shape
    return TaylorSeries(value, draw(degree, D, *shape, seed=30 + number) - 0.7)


def outputs(out: Any, used: tuple[bool, ...]) -> list[Tensor]:
    """Value and coefficients of each output that is used, at full size."""
    found = []
    for y, is_used in zip(out if isinstance(out, (tuple, list)) else (out,), used, strict=False):
        value = value_of(y)
        if not is_used or not value.is_floating_point():
            continue
        tail = torch.zeros(K, D, *value.shape, dtype=value.dtype)
        if isinstance(y, TaylorSeries):
            tail[: len(y.tail)] = y.full().tail
        found.append(torch.cat((value.expand(1, D, *value.shape), tail)))
    return found


def test_every_rule_has_samples() -> None:
    assert set(RULES) <= {*SAMPLES, *OWN}


@pytest.mark.parametrize(("op", "args", "kwargs"), CASES)
def test_a_rule_agrees_with_the_operation_differentiated(op: Any, args: Any, kwargs: Any) -> None:
    tensors = [leaf.value for leaf in marked(args)]
    tolerance = {"rtol": 1e-5, "atol": 1e-6} if kwargs.get("dtype") == torch.float32 else {"rtol": 1e-9, "atol": 1e-10}
    for varies in product((True, False), repeat=len(tensors)):
        if not any(varies):
            continue
        for degree in (1, K):

            def given(varies=varies, degree=degree) -> list[Any]:
                pairs = enumerate(zip(tensors, varies, strict=True))
                return [series(t, degree, number) if yes else t for number, (t, yes) in pairs]

            used = USED.get(op, (True,) * 9)
            node = TaylorNode(op, replaced(args, given()), kwargs, (), 0, False, rule=LINEAR.get(op, ANY), used=used)
            found = outputs(_done(node, node.args, kwargs, K), used)
            call = TaylorCall(WORDS.get(op, op), replaced(args, given()), kwargs, used=used)
            torch.testing.assert_close(found, outputs(by_derivatives(call, K), used), **tolerance)


@pytest.mark.parametrize("op", [op for op in REWRITTEN if op in SAMPLES])
def test_words_have_the_value_of_their_operation(op: Any) -> None:
    for args, kwargs in SAMPLES[op]:
        plain = replaced(args, [leaf.value for leaf in marked(args)])
        found = REWRITTEN[op](*plain, **kwargs)
        if found is not NotImplemented:
            mine, own = (y[0] if isinstance(y, tuple) else y for y in (found, op(*plain, **kwargs)))
            torch.testing.assert_close(mine, own, rtol=1e-12, atol=1e-13)


def test_words_of_activations_and_backwards_have_their_value() -> None:
    z, g = draw(3, 4) - 0.8, draw(3, 4, seed=1)
    y = z.sigmoid()
    cases: dict[Any, tuple[Any, ...]] = {
        aten.mish.default: (z,),
        aten.elu.default: (z, 1.5, 2.0, 0.5),
        aten.celu.default: (z, 1.5),
        aten.selu.default: (z,),
        aten.logaddexp.default: (z, g),
        aten.hypot.default: (z, g),
        aten.addcmul.default: (z, g, y),
        aten.addcdiv.default: (z, g, y),
        aten.lerp.Scalar: (z, g, 0.3),
        aten.xlogy.Tensor: (z.clamp_min(0.0), g),
        aten.mse_loss.default: (z, g),
        aten.rsub.Tensor: (z, g),
        aten.masked_fill.Tensor: (z, z > 0, torch.tensor(2.0, dtype=torch.float64)),
        aten.tanh_backward.default: (g, z.tanh()),
        aten.sigmoid_backward.default: (g, y),
        aten.threshold_backward.default: (g, z, 0.0),
        aten.softplus_backward.default: (g, z, 2.0, 0.5),
        aten.silu_backward.default: (g, z),
        aten._softmax_backward_data.default: (g, z.softmax(1), 1, torch.float64),
        aten._log_softmax_backward_data.default: (g, z.log_softmax(1), 1, torch.float64),
        aten.norm.ScalarOpt_dim: (z, 2, [1], True),
    }
    for op, args in cases.items():
        torch.testing.assert_close(REWRITTEN[op](*args), op(*args), rtol=1e-12, atol=1e-13)
    for p in (1, 2, 3.5, math.inf):
        torch.testing.assert_close(
            REWRITTEN[aten.linalg_vector_norm.default](z, p, [1]), torch.linalg.vector_norm(z, p, [1])
        )


def test_an_operation_without_a_rule_against_its_closed_form() -> None:
    # (x + s t)^-1 by (1 - s A + s^2 A^2 - ...) x^-1, A = x^-1 t, as the operation alone is differentiated.
    x = torch.eye(3, dtype=torch.float64) + 0.3 * draw(3, 3)
    t = draw(3, 3, seed=1)
    found, _ = by_derivatives(
        TaylorCall(
            aten.linalg_inv_ex.default,
            (TaylorSeries(x, t.view(1, 1, 3, 3)),),
            {"check_errors": False},
            used=(True, False),
        ),
        4,
    )
    A = x.inverse() @ t
    for k, part in enumerate(found.tail[:, 0], 1):
        torch.testing.assert_close(part, (-1) ** k * torch.linalg.matrix_power(A, k) @ x.inverse())
    z = draw(4)
    entrywise = by_derivatives(
        TaylorCall(aten.digamma.default, (TaylorSeries(z, torch.ones(1, 1, 4, dtype=z.dtype)),), {}), 3
    )
    for k, part in enumerate(entrywise.tail[:, 0], 1):
        torch.testing.assert_close(part, torch.special.polygamma(k, z) / math.factorial(k))


def test_what_cannot_be_differentiated_is_named() -> None:
    z = TaylorSeries(draw(3), draw(1, 1, 3))
    with pytest.raises(UnsupportedError, match="bernoulli"):
        by_derivatives(TaylorCall(aten.bernoulli.p, (z, 0.5), {}), 2)
