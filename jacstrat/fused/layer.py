"""One layer of a wide network for all points and directions: s' t before, the product, and sums of c t^2 behind it.

A row is a direction of a point, direction after direction of one point and then of the next. With t = W a the kernel
writes s'(z) t, which the next layer reads, and of each row one number: the sum of c t^2 over the columns of a program.
Tangents are written once, and those of the first layer never: a = s'(z_1) t_1, t_1 the same for all points.

    grid (columns / BN, rows / BM)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from jacstrat.fused.kernels import interprets, kernel
from jacstrat.fused.prelude import prelude, product
from jacstrat.fused.spec import Products

_LAYER = """

@triton.jit(do_not_specialize=['M', 'K'])
def kernel(a, slope, seed, w, left, right, after, out, sums, M, K, so, si, sk, sc, rk, rc,
           HI: tl.constexpr, HO: tl.constexpr, SHARED: tl.constexpr, SQUARES: tl.constexpr, ENTRIES: tl.constexpr,
           WRITES: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    m = (tl.program_id(1) * BM + tl.arange(0, BM)).to(tl.int64)
    n = tl.program_id(0) * BN + tl.arange(0, BN)
    point = m // K
    direction = m % K
    total = tl.full((BM, BN), 0.0, dtype=ACC)
    for start in range(0, HI, BK):
        i = start + tl.arange(0, BK)
        inside = (m[:, None] < M) & (i[None, :] < HI)
        if SHARED:
            rows = tl.load(slope + point[:, None] * HI + i[None, :], mask=inside, other=0.0).to(ACC)
            rows = rows * tl.load(seed + direction[:, None] * sk + i[None, :] * sc, mask=inside, other=0.0).to(ACC)
        else:
            rows = tl.load(a + m[:, None] * HI + i[None, :], mask=inside, other=0.0)
        at = w + i[:, None] * si + n[None, :] * so
        total += product(rows, tl.load(at, mask=(i[:, None] < HI) & (n[None, :] < HO), other=0.0))
    inside = (m[:, None] < M) & (n[None, :] < HO)
    at = point[:, None] * HO + n[None, :]
    if SQUARES:
        c = tl.load(left + at, mask=inside, other=0.0).to(ACC)
        tl.store(sums + tl.program_id(0) * M + m, row_sum(c * total * total), mask=m < M)
    if WRITES or ENTRIES:
        total = total * tl.load(after + at, mask=inside, other=0.0).to(ACC)
    if ENTRIES:
        c = tl.load(right + direction[:, None] * rk + n[None, :] * rc, mask=inside, other=0.0).to(ACC)
        tl.store(sums + tl.program_id(0) * M + m, row_sum(c * total), mask=m < M)
    if WRITES:
        tl.store(out + m[:, None] * HO + n[None, :], total, mask=inside)
"""


@lru_cache(maxsize=16)
def text(dtype: str, products: Products) -> str:
    """The module that has the kernel of a layer."""
    is_exact = dtype == "float64"
    return prelude("float64" if is_exact else "float32", product(dtype, products)) + _LAYER


@dataclass(frozen=True, eq=False)
class Layer:
    """What one launch computes of rows of `directions` for each point.

    Fields:
        W: (units, inputs).
        rows: (B, K, inputs); or None for `slope` times `seed`.
        slope, seed: s' of each point, (B, inputs), and the derivatives that all points share, (K, inputs).
        after: s' behind the product, (B, units).
        squares: c, (B, units), for the sum of c t^2; None where it is not wanted.
        entries: (K, units), for the sum of entry times s' t; None where it is not wanted.
        writes: Whether s' t is wanted.
    """

    W: Tensor
    rows: Tensor | None
    slope: Tensor | None
    seed: Tensor | None
    after: Tensor
    squares: Tensor | None
    entries: Tensor | None
    writes: bool


def launch(layer: Layer, dtype: str, products: Products, directions: int) -> tuple[Tensor | None, Tensor | None]:
    """s' t, (B, K, units), and the sums, (B, K), each None where it is not wanted."""
    W, after = layer.W, layer.after
    units, inputs = W.shape
    B, K = len(after), directions
    M = B * K
    BM, BN, BK, warps = blocks(units, W.element_size())
    columns = -(-units // BN)
    accumulates = torch.float64 if W.dtype == torch.float64 else torch.float32
    out = after.new_empty((B, K, units)) if layer.writes else None
    has_sums = layer.squares is not None or layer.entries is not None
    sums = torch.empty((columns, M), dtype=accumulates, device=W.device) if has_sums else None
    is_shared = layer.rows is None

    def filled(tensor: Tensor | None) -> Tensor:
        return after if tensor is None else tensor

    seed, squares, entries = filled(layer.seed), filled(layer.squares), filled(layer.entries)
    kernel(text(dtype, products)).launch(
        (columns, -(-M // BM)),
        (filled(layer.rows), filled(layer.slope), seed, W, squares, entries, after, filled(out), filled(sums)),
        (M, K, W.stride(0), W.stride(1), seed.stride(0), seed.stride(1), entries.stride(0), entries.stride(1)),
        {
            "HI": inputs,
            "HO": units,
            "SHARED": is_shared,
            "SQUARES": layer.squares is not None,
            "ENTRIES": layer.entries is not None,
            "WRITES": layer.writes,
            "BM": BM,
            "BN": BN,
            "BK": BK,
        },
        warps,
    )
    return out, None if sums is None else (sums[0] if columns == 1 else sums.sum(0)).view(B, K)


def blocks(units: int, itemsize: int) -> tuple[int, int, int, int]:
    """Rows and columns of a program, the inputs that it takes at a time, and its warps."""
    if interprets():
        return 16, 16, 16, 4
    if itemsize == 8:
        return 64, 64, 16, 4
    return (128, 128, 32, 8) if units > 64 else (128, 64, 32, 4)
