"""The gradient of a wide layer's matrix: T_z^T t_a over all points and directions, in one kernel.

Rows are many and the result is small, so that programs share rows as well: each part of them writes its sum, and torch
adds these up, always in one order.

    grid (units / BM, inputs / BN, parts)
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from jacstrat.fused.kernels import kernel
from jacstrat.fused.layer import blocks
from jacstrat.fused.narrow import PROGRAMS, processors_of
from jacstrat.fused.prelude import prelude, product
from jacstrat.fused.spec import Products

# Rows of a part, the fewest that are worth a sum of their own.
LEAST_ROWS = 1024

_KERNEL = """

@triton.jit(do_not_specialize=['M', 'PER'])
def kernel(left, right, sums, M, PER, HO: tl.constexpr, HI: tl.constexpr,
           BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    o = tl.program_id(0) * BM + tl.arange(0, BM)
    i = tl.program_id(1) * BN + tl.arange(0, BN)
    part = tl.program_id(2).to(tl.int64)
    total = tl.full((BM, BN), 0.0, dtype=ACC)
    for start in range(0, PER, BK):
        m = part * PER + start + tl.arange(0, BK)
        a = tl.load(left + m[None, :] * HO + o[:, None], mask=(m[None, :] < M) & (o[:, None] < HO), other=0.0)
        b = tl.load(right + m[:, None] * HI + i[None, :], mask=(m[:, None] < M) & (i[None, :] < HI), other=0.0)
        total += product(a, b)
    at = sums + (part * HO + o[:, None]) * HI + i[None, :]
    tl.store(at, total, mask=(o[:, None] < HO) & (i[None, :] < HI))
"""


@lru_cache(maxsize=16)
def text(dtype: str, products: Products) -> str:
    """The module that has the kernel."""
    return prelude("float64" if dtype == "float64" else "float32", product(dtype, products)) + _KERNEL


def outer(left: Tensor, right: Tensor, dtype: str, products: Products) -> Tensor:
    """left^T right, (units, inputs), in the type that is summed in.

    Args:
        left, right: Rows, (M, units) and (M, inputs).
        dtype: Of both, as Triton calls it.
        products: How products of float32 are made.
    """
    (M, units), inputs = left.shape, right.shape[1]
    BM, BN, BK, warps = blocks(inputs, left.element_size())
    grid = -(-units // BM), -(-inputs // BN)
    parts = max(1, min(-(-M // LEAST_ROWS), PROGRAMS * processors_of(left) // (grid[0] * grid[1])))
    part = -(-M // (parts * BK)) * BK
    parts = -(-M // part)
    accumulates = torch.float64 if left.dtype == torch.float64 else torch.float32
    sums = torch.empty((parts, units, inputs), dtype=accumulates, device=left.device)
    tensors = (left.contiguous(), right.contiguous(), sums)
    blocked = {"HO": units, "HI": inputs, "BM": BM, "BN": BN, "BK": BK}
    kernel(text(dtype, products)).launch((*grid, parts), tensors, (M, part), blocked, warps)
    return sums[0] if parts == 1 else sums.sum(0)
