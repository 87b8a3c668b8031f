"""The way back of a pointwise function's derivatives along directions, for all points of a wide network, in one kernel.

With t of z and T of a = s(z), (B, K, width) each, it reads both once and writes, for m = h g_a s''(z) and d = s'(z),

    T_z = 2 m t + d T      D = sum_k T t      Q = sum_k t^2.

    grid (B, width / BW)
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from jacstrat.fused.kernels import kernel

# Columns of a program at most.
COLUMNS = 128

_KERNEL = """import triton
import triton.language as tl


@triton.jit(do_not_specialize=['K', 'st'])
def kernel(t, T, m, d, out, D, Q, K, st, W: tl.constexpr, HAS_T: tl.constexpr, HAS_M: tl.constexpr, BW: tl.constexpr):
    b = tl.program_id(0).to(tl.int64)
    c = tl.program_id(1) * BW + tl.arange(0, BW)
    inside = c < W
    products = tl.full((BW,), 0.0, dtype=tl.{accumulates})
    squares = tl.full((BW,), 0.0, dtype=tl.{accumulates})
    if HAS_M:
        twice = 2.0 * tl.load(m + b * W + c, mask=inside, other=0.0).to(tl.{accumulates})
    if HAS_T:
        slope = tl.load(d + b * W + c, mask=inside, other=0.0).to(tl.{accumulates})
    for k in range(0, K):
        tangent = tl.load(t + b * st + k * W + c, mask=inside, other=0.0).to(tl.{accumulates})
        total = tl.full((BW,), 0.0, dtype=tl.{accumulates})
        if HAS_M:
            total += twice * tangent
            squares += tangent * tangent
        if HAS_T:
            adjoint = tl.load(T + (b * K + k) * W + c, mask=inside, other=0.0).to(tl.{accumulates})
            total += slope * adjoint
            products += adjoint * tangent
        tl.store(out + (b * K + k) * W + c, total, mask=inside)
    if HAS_T:
        tl.store(D + b * W + c, products, mask=inside)
    if HAS_M:
        tl.store(Q + b * W + c, squares, mask=inside)
"""


class PointwiseBack(NamedTuple):
    """What a pointwise function hands on.

    Fields:
        adjoint: T_z, (B, K, width).
        slopes: D, (B, width); None without T.
        squares: Q, (B, width); None without m.
    """

    adjoint: Tensor
    slopes: Tensor | None
    squares: Tensor | None


@lru_cache(maxsize=2)
def text(accumulates: str) -> str:
    """The module that has the kernel."""
    return _KERNEL.replace("{accumulates}", accumulates)


def pointwise_back(t: Tensor, T: Tensor | None, m: Tensor | None, d: Tensor) -> PointwiseBack:
    """One launch.

    Args:
        t: Derivatives of z, (B or 1, K, width).
        T: Adjoints of those of a, (B, K, width); None for zeros.
        m: (B, width); None for zeros.
        d: s'(z), (B or 1, width).
    """
    K, W = t.shape[1:]
    B = len(m) if m is not None else len(T) if T is not None else len(t)
    t, d = t.contiguous(), d.expand(B, W).contiguous()
    adjoint = t.new_empty(B, K, W)
    slopes = None if T is None else t.new_empty(B, W)
    squares = None if m is None else t.new_empty(B, W)
    tensors = (t, T, m, d, adjoint, slopes, squares)
    filled = [t if one is None else one.contiguous() for one in tensors]
    BW = min(COLUMNS, 1 << (W - 1).bit_length())
    accumulates = "float64" if t.dtype == torch.float64 else "float32"
    step = 0 if len(t) == 1 else K * W
    flags = {"W": W, "HAS_T": T is not None, "HAS_M": m is not None, "BW": BW}
    kernel(text(accumulates)).launch((B, -(-W // BW)), filled, (K, step), flags, max(1, BW // 32))
    return PointwiseBack(adjoint, slopes, squares)
