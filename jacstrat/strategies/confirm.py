"""A second opinion on forward mode within a derivative, at two points.

torch 2.13 drops terms there without a word: the JVP of a JVP through an operation that hands intermediate results to
its derivative (layer_norm, slogdet, linalg.solve) takes these for constants, and so does that of an autograd.Function
with a jvp of its own; hessian and jacfwd of slogdet are right at one point and wrong at two. Reverse over reverse is
right in all of these.
"""

from __future__ import annotations

from contextlib import suppress

import torch
from torch import Tensor

from jacstrat.errors import UnsupportedError
from jacstrat.strategies.base import Function, Operator
from jacstrat.strategies.probes import unit_diagonal
from jacstrat.strategies.products import functional_gradient, reverse, reverse_gradient, vjp

# Rounding is off by some eps of the terms; a term that is missing by far more than the square root of it.
POWER_OF_EPS = 0.5


def confirmed(spec: str, diagonal: Function, operator: Operator, f: Function, x: Tensor) -> Function:
    """The diagonal, once it agrees with reverse over reverse at x, or at two of its points.

    Where there are no numbers to compare (the meta device, a tracer, a transform around the call) and where reverse
    mode cannot serve f, it is given as it is.

    Args:
        spec: The strategy that it is of.
        diagonal: x -> (B, n), by forward mode within a derivative.
        operator, f, x: As for `Strategy.build`; only the Laplacian nests derivatives.

    Raises:
        UnsupportedError: It does not agree; says by how much.

    Cost: n VJPs of the gradient at two points, once.
    """
    if operator != "laplacian" or x.numel() == 0 or not has_numbers(x):
        return diagonal
    with torch.no_grad():
        # What is prepared at one of many points will serve many.
        points = x.detach() if x.dim() == 1 else x.detach()[[0, -1]]
        expected = _reverse_diagonal(f, points)
        if expected is None:
            return diagonal
        size = expected.abs().sum()
        off = (diagonal(points) - expected).abs().sum()
    if bool(torch.isfinite(size)) and not bool(off <= torch.finfo(x.dtype).eps ** POWER_OF_EPS * size):
        raise UnsupportedError(
            f"{spec} is wrong on this function by {float(off / size):.2g} of the sum of |H_ii|: in forward mode torch "
            "drops terms of the derivative of some operation, such as layer_norm or slogdet; use vmap"
        )
    return diagonal


def has_numbers(x: Tensor) -> bool:
    """Whether values of x can be looked at: no meta or fake tensor, no tracer, no transform around."""
    return not (
        x.is_meta
        or torch.compiler.is_compiling()
        or torch._C._functorch.peek_interpreter_stack() is not None
        or torch.utils._python_dispatch._get_current_dispatch_mode_stack()
    )


def _reverse_diagonal(f: Function, points: Tensor) -> Tensor | None:
    """H_ii by reverse over reverse, batched where torch can; None where reverse mode cannot serve f."""
    refusals = (RuntimeError, NotImplementedError)
    with suppress(*refusals):
        return unit_diagonal(vjp(functional_gradient(f), points), points, "all")
    with suppress(*refusals):
        return unit_diagonal(reverse(reverse_gradient(f), points), points, 1)
    return None
