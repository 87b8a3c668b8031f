"""Arguments for every operation that has a rule; V marks the tensors that may depend on x."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from jacstrat.trace.record import revalued

aten = torch.ops.aten


class V(NamedTuple):
    """A tensor that may depend on x."""

    value: Tensor


def draw(*shape: int, seed: int = 0) -> Tensor:
    """Numbers between a quarter and one and a quarter, no two alike: no function here has a pole or a kink there."""
    return torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) + 0.25


def v(*shape: int, seed: int = 0) -> V:
    return V(draw(*shape, seed=seed))


def signed(*shape: int) -> V:
    """Numbers of either sign, none near 0."""
    x = draw(*shape)
    return V(torch.where(torch.arange(x.numel()).view(shape) % 2 == 0, x, -x))


MASK = torch.tensor([[True, False, True, True], [False, True, True, False], [True, True, False, True]])
COLUMNS = torch.tensor([3, 0, 3])

Arguments = tuple[Any, ...]
SAMPLES: dict[Any, list[tuple[Arguments, dict[str, Any]]]] = {}


def add(op: Any, *args: Any, **kwargs: Any) -> None:
    SAMPLES.setdefault(op, []).append((args, kwargs))


for name in ("tanh", "sigmoid", "exp", "sin", "cos", "silu", "gelu", "relu", "abs", "neg"):
    add(getattr(aten, name).default, signed(3, 4))
for name in ("log", "sqrt", "rsqrt", "reciprocal"):
    add(getattr(aten, name).default, v(3, 4))
add(aten.gelu.default, signed(3, 4), approximate="tanh")
add(aten.tanh.default, v())
for exponent in (0, 1, 2, 3, -1, 2.5):
    add(aten.pow.Tensor_Scalar, v(3, 4), exponent)
add(aten.pow.Tensor_Scalar, V(torch.zeros(3, 4, dtype=torch.float64)), 2)
add(aten.add.Scalar, v(3, 4), 2.0, 1)
add(aten.sub.Scalar, v(3, 4), 2.0, 3)
add(aten.rsub.Scalar, v(3, 4), 2.0, 3)

for op in (aten.alias.default, aten.clone.default, aten.t.default, aten.sum.default, aten.mean.default):
    add(op, v(3, 4))
add(aten.detach.default, v(3, 4))
add(aten.t.default, v(4))
add(aten.sum.default, v())
add(aten._to_copy.default, v(3, 4), dtype=torch.float32)
add(aten.mul.Scalar, v(3, 4), 3.0)
add(aten.div.Scalar, v(3, 4), 3.0)
for op in (aten.view.default, aten._unsafe_view.default):
    add(op, v(3, 4), [3, 2, 2])
    add(op, v(3, 4), [12])
    add(op, v(3, 4), [-1, 2])
    add(op, v(3, 1), [3])
add(aten.expand.default, v(3, 1), [2, 3, 4])
add(aten.expand.default, v(), [2, 3])
add(aten.copy.default, v(3, 4), v(3, 4, seed=1), False)
add(aten.copy.default, v(3, 4), v(4, seed=1), False)
add(aten.permute.default, v(3, 4, 2), [2, 0, 1])
add(aten.permute.default, v(3, 4, 2), [-1, 0, 1])
add(aten.transpose.int, v(3, 4, 2), 0, -1)
add(aten.unsqueeze.default, v(3, 4), 1)
add(aten.unsqueeze.default, v(3, 4), -1)
add(aten.squeeze.default, v(3, 1, 2, 1))
add(aten.squeeze.dim, v(3, 1), -1)
add(aten.squeeze.dim, v(3, 1), 0)
add(aten.squeeze.dims, v(3, 1, 2, 1), [1, 3])
for op in (aten.sum.dim_IntList, aten.mean.dim):
    add(op, v(3, 4), [-1], False)
    add(op, v(3, 4), [0], True)
    add(op, v(3, 4), [], False)
add(aten.select.int, v(3, 4), 1, 2)
add(aten.select.int, v(3, 4), 0, 2)
add(aten.slice.Tensor, v(3, 4), -1, 1, 4, 2)
add(aten.slice.Tensor, v(3, 4), 0, 1, None, 1)
add(aten.cumsum.default, v(3, 4), 1)
add(aten.cumsum.default, v(), 0)
add(aten.unbind.int, v(3, 4), 1)
add(aten.flip.default, v(3, 4), [0, 1])
add(aten.index_select.default, v(3, 4), 1, COLUMNS)
add(aten.split.Tensor, v(3, 4), 3, 1)
add(aten.split_with_sizes.default, v(3, 4), [1, 3], 1)
add(aten.index.Tensor, v(3, 4), [None, COLUMNS])
add(aten.index.Tensor, v(3, 4), [COLUMNS % 3])
add(aten.index.Tensor, v(3, 4, 2), [COLUMNS % 3, COLUMNS])
add(aten.index.Tensor, v(3, 4, 2), [COLUMNS % 3, None, COLUMNS % 2])
add(aten.masked_fill.Scalar, v(3, 4), MASK, 7.0)
add(aten.constant_pad_nd.default, v(3, 4), [1, 2], 7.0)
add(aten.roll.default, v(3, 4), [1], [1])
add(aten.roll.default, v(3, 4), [1], [])
add(aten.gather.default, v(3, 4), 1, COLUMNS.expand(3, 3))
add(aten.diagonal.default, v(3, 4), 0, 0, 1)
add(aten.tril.default, v(3, 4), 0)
add(aten.triu.default, v(3, 4), 1)
add(aten.repeat.default, v(3, 4), [2, 1, 2])
add(aten.unfold.default, v(3, 4), 1, 2, 1)
add(aten.avg_pool2d.default, v(2, 3, 4, 4), [2, 2], [2, 2])
add(aten._adaptive_avg_pool2d.default, v(2, 3, 4, 4), [2, 2])

for op in (aten.add.Tensor, aten.sub.Tensor):
    add(op, v(3, 4), v(3, 4, seed=1))
    add(op, v(3, 1), v(4, seed=1), alpha=3)
    add(op, v(3, 4), 2.0)
for op in (aten.mul.Tensor, aten.div.Tensor):
    add(op, v(3, 4), v(3, 4, seed=1))
    add(op, v(3, 1), v(4, seed=1))
    add(op, v(3, 4), 2.0)
    add(op, v(), v(3, seed=1))
add(aten.cat.default, [v(3, 4), v(3, 2, seed=1)], 1)
add(aten.stack.default, [v(3, 4), v(3, 4, seed=1)], -1)
add(aten.stack.default, [v(3, 4), v(3, 4, seed=1)], 0)
add(aten.where.self, MASK, v(3, 4), v(4, seed=1))

add(aten.mm.default, v(3, 4), v(4, 2, seed=1))
add(aten.bmm.default, v(5, 3, 4), v(5, 4, 2, seed=1))
add(aten.addmm.default, v(2), v(3, 4, seed=1), v(4, 2, seed=2))
add(aten.addmm.default, v(3, 2), v(3, 4, seed=1), v(4, 2, seed=2), alpha=3, beta=2)
add(aten.baddbmm.default, v(5, 3, 2), v(5, 3, 4, seed=1), v(5, 4, 2, seed=2))
add(aten.mv.default, v(3, 4), v(4, seed=1))
add(aten.addmv.default, v(3), v(3, 4, seed=1), v(4, seed=2), alpha=3)
add(aten.dot.default, v(4), v(4, seed=1))
add(aten.linear.default, v(3, 4), v(2, 4, seed=1), draw(2))
add(aten.linear.default, v(4), draw(2, 4), None)
add(aten.convolution.default, v(2, 3, 5), v(4, 3, 2, seed=1), draw(4), [1], [0], [1], False, [0], 1)

for op in (aten._softmax.default, aten._log_softmax.default):
    add(op, v(3, 4), 1, False)
    add(op, v(3, 4), 0, False)
add(aten._safe_softmax.default, v(3, 4), -1)
add(aten.logsumexp.default, v(3, 4), [1], False)
add(aten.logsumexp.default, v(3, 4), [0, 1], True)
add(aten.linalg_vector_norm.default, v(3, 4), 2, [-1], False)
add(aten.linalg_vector_norm.default, v(3, 4), 2, None, False)
add(aten.linalg_vector_norm.default, V(torch.zeros(3, 4, dtype=torch.float64)), 2, [-1], False)
add(aten.linalg_vector_norm.default, v(3, 4), 3, [-1], True)
add(aten.native_layer_norm.default, v(3, 4), [4], v(4, seed=1), draw(4), 1e-5)
add(aten.native_layer_norm.default, v(3, 2, 2), [2, 2], None, None, 1e-2)

add(aten.prod.dim_int, v(3, 4), 1, False)
add(aten.prod.dim_int, v(3, 7), 0, True)
add(aten.prod.dim_int, v(3, 7), -1, True)
add(aten.prod.dim_int, v(3, 1), -1, False)
add(aten.prod.dim_int, V(torch.tensor([[0.0, 0.5, 2.0], [0.0, 0.0, 3.0]], dtype=torch.float64)), 1, False)
add(aten.prod.default, v(3, 5))

# No place is written to twice: torch's derivative goes to all that were written there. See test_written.py.
PLACES = torch.tensor([[2, 0], [0, 3], [1, 2]])
add(aten.scatter.src, v(3, 4), 1, PLACES, v(3, 2, seed=1))
add(aten.scatter.src, v(3, 4), 0, torch.tensor([[2, 0, 1, 1]]), v(1, 4, seed=1))
add(aten.index_copy.default, v(3, 4), 1, PLACES[0], v(3, 2, seed=1))
add(aten.index_copy.default, v(3, 4), 0, PLACES[2], v(2, 4, seed=1))
add(aten.index_put.default, v(3, 4), [None, PLACES[1]], v(3, 2, seed=1), False)
add(aten.index_put.default, v(3, 4), [PLACES[0], PLACES[1]], v(2, seed=1), False)
add(aten.index_put.default, v(3, 4), [PLACES[0]], v(4, seed=1), False)
add(aten.index_put.default, v(3, 4), [MASK], v(8, seed=1), False)
add(aten.index_put.default, v(3, 4), [MASK], v(seed=1), False)
add(aten.index_put.default, v(3, 4), [None, PLACES[1]], v(3, 2, seed=1), True)
add(aten.masked_scatter.default, v(3, 4), MASK, v(3, 4, seed=1))
add(aten.masked_scatter.default, v(3, 4), MASK[0], v(9, seed=1))
add(revalued, v(3, 4), draw(3, 4, seed=1))
