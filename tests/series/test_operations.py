"""Operations without a rule: their closed forms, or a refusal by name."""

from __future__ import annotations

import math

import pytest
import torch

from jacstrat.core.errors import UnsupportedError
from jacstrat.series.operations import by_derivatives
from jacstrat.series.series import TaylorSeries
from jacstrat.taylor.rule import TaylorCall
from tests.taylor.samples import draw

aten = torch.ops.aten


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
