"""Whether a function may be asked for a part of its rows: not where it holds tensors of as many rows as x has."""

from __future__ import annotations

import torch
from torch import Tensor

from jacstrat.trace.arguments import Args, Function, taken

# Rounding differs with the number of rows, as kernels do.
POWER_OF_EPS = 0.5


def rows_apart(f: Function, x: Tensor, args: Args = ()) -> str:
    """Why the rows of x cannot be taken in parts, in words that go on behind "f"; "" where they can.

    f is evaluated at all rows and at two of them from different places: a tensor of B rows that it closes over, a time
    or a condition, does not fit the latter, or is cut to its first rows, `t[: len(x)]`, which are others.

    Args:
        f: Row-wise.
        x: Points, (B, n) or (n,); with fewer than two rows, or without numbers, there is nothing to be seen.
        args: Further arguments; those of the rows go with them.

    Raises:
        Whatever f raises at x.
    """
    if x.dim() == 1 or len(x) < 2 or x.is_meta:
        return ""
    B = len(x)
    rows = [B - 1] if B == 2 else [B - 1, B // 2]
    with torch.no_grad():
        y = f(x.detach(), *args)
        try:
            part = f(x.detach()[rows], *taken(x, args, rows))
        except Exception as error:
            text = " ".join(str(error).split())[:100]
            return f"takes no other number of rows than the {B} of x, as if it held a tensor of {B} rows ({text})"
        if y[rows].shape != part.shape:
            return f"gives other shapes for {len(rows)} of the {B} rows of x"
        eps = torch.finfo(y.dtype).eps if y.is_floating_point() else 0.0
        size = y[rows].abs().amax() if y.numel() else torch.zeros(())
        off = (y[rows] - part).abs()
        if bool((off <= eps**POWER_OF_EPS * size).all()) or not bool(y[rows].isfinite().all()):
            return ""
        if not torch.equal(f(x.detach(), *args), y):  # it draws random numbers, or changes with every call
            return ""
    return f"gives other numbers for rows of x taken by themselves, as if it held a tensor of {B} rows"
