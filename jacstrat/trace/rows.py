"""Whether a function may be asked for a part of its rows: not where it holds tensors of as many rows as x has."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from jacstrat.trace.arguments import Args, Function, taken

# Rounding differs with the number of rows, as kernels do.
POWER_OF_EPS = 0.5


# As a share of a row's derivative by itself, what that by the other rows must be to be none of rounding.
LEAST_COUPLING = 1e-6


def are_coupled(f: Function, x: Tensor, args: Args = ()) -> bool:
    """Whether a row of f(x) has a derivative by other rows of x, as where f takes a mean over the batch.

    Args:
        f, x, args: As for `rows_apart`, which gives a reason for what is coupled, and for more.

    Cost: one evaluation and four VJPs.
    """
    if x.dim() == 1 or len(x) < 2 or x.is_meta:
        return False
    point = x.detach().requires_grad_()
    try:
        with torch.enable_grad():
            y = f(point, *args)
            own_weights = torch.linspace(1, 2, y[0].numel(), device=y.device).to(y.dtype).view_as(y[0])
            for its in _groups(len(x), x.device):
                weights = torch.where(its.view(-1, *(1,) * (y.dim() - 1)), own_weights, 0)
                (g,) = torch.autograd.grad(y, point, weights, retain_graph=True, materialize_grads=True)
                if bool(g[~its].abs().amax() > LEAST_COUPLING * g[its].abs().amax()):
                    return True
    except RuntimeError:  # autograd cannot differentiate it, or it does not depend on x
        return False
    return False


def _groups(B: int, device: torch.device) -> Iterator[Tensor]:
    """Rows whose results are to have no derivative by the others, (B,) each.

    One by itself is enough where all are coupled, but for the first where that is what all differ from; halves see what
    couples few.
    """
    rows = torch.arange(B, device=device)
    yield from (rows == 0, rows == B // 2, rows % 2 == 1, rows >= (B + 1) // 2)


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
        size = y[rows].abs().amax() if y.numel() else torch.zeros((), device="cpu")
        off = (y[rows] - part).abs()
        if bool((off <= eps**POWER_OF_EPS * size).all()) or not bool(y[rows].isfinite().all()):
            return ""
        if not torch.equal(f(x.detach(), *args), y):  # it draws random numbers, or changes with every call
            return ""
    return f"gives other numbers for rows of x taken by themselves, as if it held a tensor of {B} rows"
