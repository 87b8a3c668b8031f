"""Operations in words of others have their values, all of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from jacstrat.trace.decompositions import ALWAYS, CHAINED

aten = torch.ops.aten
Z = torch.randn(4, 6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
ROW, WIDE = Z[0, 0], torch.linspace(0.5, 2.0, 6, dtype=torch.float64)
SAMPLES: dict[Any, list[tuple[Any, ...]]] = {
    aten._cdist_forward.default: [(Z, Z[:, :2], 2.0, None), (Z, Z[:, :2], 1.0, None)],
    aten.native_group_norm.default: [(Z, WIDE, -WIDE, 4, 6, 3, 2, 1e-5), (Z, None, None, 4, 6, 3, 3, 1e-3)],
    aten.native_batch_norm.default: [
        (Z, WIDE, -WIDE, WIDE - 1, WIDE, False, 0.1, 1e-5),
        (Z, None, None, WIDE, WIDE, False, 0.1, 1e-3),
    ],
    aten.glu.default: [(Z, 1), (Z.mT,)],
    aten.var.correction: [(Z, [-1]), (Z, [0, 2])],
    aten.std.correction: [(Z, [-1]), (Z, [1])],
    aten.var_mean.correction: [(Z, [-1])],
    aten.std_mean.correction: [(Z, [0, 1])],
    aten.cumprod.default: [(Z, -1), (Z, 0)],
    aten._softmax.default: [(Z, -1, False), (Z, 0, False), (Z + 800, 1, False)],
    aten._log_softmax.default: [(Z, -1, False), (1000 * Z, 1, False)],
    aten.native_layer_norm.default: [(Z, [3], ROW, -ROW, 1e-5), (Z, [6, 3], None, None, 1e-3)],
    aten.linalg_vector_norm.default: [(Z,), (Z, 2, [-1]), (Z, 2, [0, 1], True)],
}


def test_every_row_has_a_sample() -> None:
    assert set(SAMPLES) == set(CHAINED)
    assert set(ALWAYS) < set(CHAINED)


@pytest.mark.parametrize("op", CHAINED, ids=str)
def test_words_have_the_values_of_their_operation(op: Any) -> None:
    for args in SAMPLES[op]:
        found, expected = CHAINED[op](*args), op(*args)
        assert found is not NotImplemented
        if isinstance(expected, Tensor):
            found, expected = (found,), (expected,)
        # Further results serve torch's own derivatives, and some have none.
        for one, other in zip(found, expected, strict=True):
            if one is not None and one.numel() == other.numel() and other.numel():
                torch.testing.assert_close(one.reshape(other.shape), other, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(found[0], expected[0], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("op", "rest"), [(aten.linalg_vector_norm.default, (2, [-1])), (aten.std.correction, ([-1],))])
def test_a_root_of_zero_has_the_slope_that_torch_takes(op: Any, rest: tuple[Any, ...]) -> None:
    v = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    (own,) = torch.autograd.grad(op(v, *rest).sum(), v)
    (slope,) = torch.autograd.grad(CHAINED[op](v, *rest).sum(), v)
    torch.testing.assert_close(slope, own, equal_nan=True)
