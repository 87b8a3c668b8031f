"""Arguments for the rules that Taylor mode's samples have none for; V marks the tensors that may vary."""

from __future__ import annotations

from typing import Any

import torch

from tests.taylor.samples import Arguments, V, draw, signed, v

aten = torch.ops.aten

OWN: dict[Any, list[tuple[Arguments, dict[str, Any]]]] = {}


def add(op: Any, *args: Any, **kwargs: Any) -> None:
    OWN.setdefault(op, []).append((args, kwargs))


def within(*shape: int) -> V:
    """Numbers of either sign between -0.9 and 0.9."""
    return V(signed(*shape).value * 0.7)


for name in ("exp2", "expm1", "tan", "log_sigmoid_forward", "sinh", "cosh", "atan", "asinh", "erf", "erfc"):
    add(getattr(aten, name).default, signed(3, 4))
for name in ("log2", "log10", "log1p"):
    add(getattr(aten, name).default, v(3, 4))
for name in ("atanh", "asin", "acos"):
    add(getattr(aten, name).default, within(3, 4))
add(aten.acosh.default, V(draw(3, 4) + 1))
add(aten.softplus.default, signed(3, 4), 1, 20)
add(aten.softplus.default, signed(3, 4), 2, 1)
add(aten.pow.Tensor_Scalar, v(3, 4), -0.5)
add(aten.pow.Tensor_Scalar, V(torch.zeros(3, 4, dtype=torch.float64)), 5)
add(aten.pow.Tensor_Scalar, V(torch.zeros(3, 4, dtype=torch.float64)), 3.5)
add(aten.pow.Tensor_Tensor, v(3, 4), v(4, seed=1))
add(aten.pow.Tensor_Tensor, signed(3, 4), torch.tensor([0, 1, 2, 5]))
add(aten.pow.Scalar, 2.5, signed(3, 4))
add(aten.atan2.default, signed(3, 4), v(4, seed=1))
add(aten.mm.default, v(3, 4), v(4, 2, seed=1))
add(aten.linear.default, v(4), v(2, 4, seed=1), None)
add(aten.linear.default, v(2, 3, 4), v(2, 4, seed=1), v(2, seed=2))
SQUARE = torch.eye(3, dtype=torch.float64) + 0.3 * draw(2, 3, 3)
add(aten.linalg_inv_ex.default, V(SQUARE), check_errors=False)
add(aten._linalg_solve_ex.default, V(SQUARE), v(2, 3, 2, seed=1), left=True, check_errors=False)
add(aten._linalg_slogdet.default, V(SQUARE))
add(aten.linalg_cholesky_ex.default, V(SQUARE @ SQUARE.mT), upper=False, check_errors=False)
add(aten.linalg_cross.default, v(3, 4), v(3, 4, seed=1), dim=0)

for op in (aten.clamp.default, aten.hardtanh.default):
    add(op, signed(3, 4), -0.5, 0.7)
add(aten.leaky_relu.default, signed(3, 4), 0.1)
for op in (aten.maximum.default, aten.minimum.default):
    add(op, v(3, 4), v(4, seed=1))
for op in (aten.amax.default, aten.amin.default):
    add(op, v(3, 4), [1], False)
add(aten.max.dim, v(3, 4), 1, False)
add(aten.sort.default, v(3, 4), -1, False)
add(aten.topk.default, v(3, 4), 2, 1)
add(aten.sign.default, signed(3, 4))
add(aten.scatter_add.default, v(3, 4), 1, torch.tensor([[0, 0], [1, 3], [2, 2]]), v(3, 2, seed=1))
add(aten.index_add.default, v(3, 4), 1, torch.tensor([0, 3]), v(3, 2, seed=1))
add(aten.diag_embed.default, v(3, 4), 0, -2, -1)
add(aten.select_scatter.default, v(3, 4), v(3, seed=1), 1, 2)
add(aten.reflection_pad1d.default, v(2, 3, 4), [1, 1])
