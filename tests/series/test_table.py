"""Every rule against nested reverse mode of the operation alone, and that against closed forms."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from jacstrat.series.decompositions import DECOMPOSITIONS
from jacstrat.series.engine import _done
from jacstrat.series.operations import by_derivatives
from jacstrat.series.series import TaylorSeries, value_of
from jacstrat.series.table import SERIES_RULES
from jacstrat.taylor.fallback import ANY
from jacstrat.taylor.node import TaylorNode
from jacstrat.taylor.rule import TaylorCall
from jacstrat.taylor.table import TAYLOR_RULES
from tests.series.samples import OWN
from tests.taylor.samples import SAMPLES, draw
from tests.taylor.test_table import DECOMPOSED, marked, replaced

pytestmark = pytest.mark.long(but_one_in=3)

aten = torch.ops.aten
K, D = 3, 2
CASES = [
    pytest.param(op, args, kwargs, id=f"{getattr(op, '__name__', op)}-{number}")
    for table in (SAMPLES, OWN)
    for op, samples in table.items()
    for number, (args, kwargs) in enumerate(samples)
    # What is recorded in words of others never comes; torch's derivatives of it may be wrong.
    if op not in DECOMPOSITIONS
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
    assert set(SERIES_RULES) <= {*SAMPLES, *OWN}


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
            node = TaylorNode(
                op, replaced(args, given()), kwargs, (), 0, False, rule=TAYLOR_RULES.get(op, ANY), used=used
            )
            found = outputs(_done(node, node.args, kwargs, K), used)
            call = TaylorCall(DECOMPOSED.get(op, op), replaced(args, given()), kwargs, used=used)
            torch.testing.assert_close(found, outputs(by_derivatives(call, K), used), **tolerance)
