"""A pointwise function of all entries with its derivatives, in one launch: what torch would do in one for each step.

grid (entries / BLOCK)
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from jacstrat.fused.kernels import kernel
from jacstrat.fused.pointwise import Curves, Formula
from jacstrat.fused.prelude import helper, prelude, product

# Entries of a program, and its warps.
BLOCK, WARPS = 1024, 4

_KERNEL = """

@triton.jit(do_not_specialize=['N'])
def kernel(z, y, d1, d2, d3, N, THIRD: tl.constexpr, BLOCK: tl.constexpr):
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = i < N
    blank = tl.full((BLOCK,), 0.0, dtype=ACC)
    value, first, second, third = s_{name}(tl.load(z + i, mask=inside, other=1.0).to(ACC))
    tl.store(y + i, value + blank, mask=inside)
    tl.store(d1 + i, first + blank, mask=inside)
    tl.store(d2 + i, second + blank, mask=inside)
    if THIRD:
        tl.store(d3 + i, third + blank, mask=inside)
"""


@lru_cache(maxsize=256)
def text(formula: Formula, accumulates: str) -> str:
    """The module that has the kernel of a formula, which computes in a type."""
    head = prelude(accumulates, product(accumulates, "ieee")) + helper(formula, third=True)
    return head + _KERNEL.replace("{name}", formula.name)


def curves(formula: Formula, z: Tensor, third: bool = False) -> Curves:
    """s(z), s', s'' and with `third` s''', in the shape and type of z; float32 is what half precision is bent in."""
    z = z.contiguous()
    y, d1, d2 = (torch.empty_like(z) for _ in range(3))
    d3 = torch.empty_like(z) if third else None
    written = (z, y, d1, d2, y if d3 is None else d3)
    of_formula = kernel(text(formula, "float64" if z.dtype == torch.float64 else "float32"))
    of_formula.launch((-(-z.numel() // BLOCK),), written, (z.numel(),), {"THIRD": third, "BLOCK": BLOCK}, WARPS)
    return Curves(y, d1, d2, d3)
