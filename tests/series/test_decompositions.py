"""Operations in words of others have their value."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from jacstrat.series.decompositions import DECOMPOSITIONS
from tests.taylor.samples import SAMPLES, draw
from tests.taylor.test_table import marked, replaced

aten = torch.ops.aten


@pytest.mark.parametrize("op", [op for op in DECOMPOSITIONS if op in SAMPLES])
def test_words_have_the_value_of_their_operation(op: Any) -> None:
    for args, kwargs in SAMPLES[op]:
        plain = replaced(args, [leaf.value for leaf in marked(args)])
        found = DECOMPOSITIONS[op](*plain, **kwargs)
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
        torch.testing.assert_close(DECOMPOSITIONS[op](*args), op(*args), rtol=1e-12, atol=1e-13)
    for p in (1, 2, 3.5, math.inf):
        torch.testing.assert_close(
            DECOMPOSITIONS[aten.linalg_vector_norm.default](z, p, [1]), torch.linalg.vector_norm(z, p, [1])
        )
