"""Whether a compiled program gives what its eager form gives, in results and in gradients.

torch.compile has been wrong on nested transforms, without a word; and a trace knows neither blocks of no_grad nor the
backward of a custom autograd.Function, so that a right result may have a wrong gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

import torch
from torch import Tensor

from jacstrat.core.operator import Operator
from jacstrat.strategies.gradients import POWER_OF_EPS
from jacstrat.strategies.probes import unit_diagonal
from jacstrat.strategies.products import functional_gradient, reverse, reverse_gradient, vjp
from jacstrat.trace.arguments import Args, Function, bind

# What is smaller than this power of eps of the largest is compared with so much of that: it is mostly rounding.
SMALL_POWER_OF_EPS = 0.25
# Probes at a time for the size of the terms, which is asked for where results differ.
CHUNK = 32


def result_fault(operator: Operator, f: Function, x: Tensor, args: Args, result: Tensor, expected: Tensor) -> str:
    """By how much a result is off at its worst point, of sum |J_ii| there; "" where it is not beyond rounding.

    Args:
        operator, f, x, args: What was evaluated.
        result, expected: Results, (B,) or (B, n) for the diagonal.

    Cost: n VJPs where the results differ by more than rounding of themselves, none where not.
    """
    if result.shape != expected.shape:
        return f"its shape is {tuple(result.shape)} instead of {tuple(expected.shape)}"
    off, size = (result.detach() - expected.detach()).abs(), expected.detach().abs()
    if not operator.is_trace:
        off, size = off.sum(-1), size.sum(-1)
    worst = _worst(off, size)
    if worst is not None and operator.is_trace and operator.order < 4 and size.dim() < x.dim():
        worst = _worst(off, _terms(operator, bind(f, args), x, size))
    return "" if worst is None else f"it is off by {worst:.2g} of the sum of |J_ii|"


def gradient_fault(result: Tensor, expected: Tensor, leaves: Iterable[Tensor]) -> str:
    """By how much the gradient of a result is off at its worst leaf, of its size; "" where not beyond rounding.

    Args:
        result, expected: Results, of which the gradients of one and the same combination are compared.
        leaves: Tensors that require grad and that `expected` depends on.
    """
    wanted = list(leaves)
    return gradients_fault(gradients(result, wanted), gradients(expected, wanted), expected)


LeafGradients = Sequence[Tensor | None]


def gradients(result: Tensor, leaves: Sequence[Tensor]) -> LeafGradients:
    """The gradients of one combination of all numbers of a result; None where it does not depend on a leaf."""
    if not (leaves and result.requires_grad):
        return (None,) * len(leaves)
    # Weights that differ, so that errors at two points do not cancel.
    w = torch.linspace(1, 2, max(result.numel(), 1), dtype=result.dtype, device=result.device).view_as(result)
    return torch.autograd.grad((result * w).sum(), leaves, retain_graph=True, allow_unused=True)


def gradients_fault(actual: LeafGradients, expected: LeafGradients, like: Tensor) -> str:
    """By how much gradients are off at the worst leaf, of its size; "" where not beyond rounding.

    Args:
        actual, expected: As `gradients` gives them.
        like: A tensor of the dtype of the result.
    """
    if not expected:
        return ""
    none = like.new_zeros(())
    pairs = [[none if g is None else g for g in pair] for pair in zip(actual, expected, strict=True)]
    off = torch.stack([(a - b).abs().sum().to(like) for a, b in pairs])
    size = torch.stack([b.abs().sum().to(like) for _, b in pairs])
    worst = _worst(off, size)
    return "" if worst is None else f"its gradient is off by {worst:.2g} of its size"


def _worst(off: Tensor, size: Tensor) -> float | None:
    """The largest of off / size where off is more than rounding explains; None where it nowhere is."""
    eps = torch.finfo(size.dtype).eps
    known = torch.isfinite(size)
    off, size = off[known], size[known]
    if not len(size):
        return None
    allowed = eps**POWER_OF_EPS * torch.maximum(size, eps**SMALL_POWER_OF_EPS * size.max())
    # Not a number is not at most anything.
    bad = ~(off <= allowed)
    return float((off / size)[bad].max()) if bool(bad.any()) else None


def _terms(operator: Operator, f: Function, x: Tensor, size: Tensor) -> Tensor:
    """sum |J_ii| at each point, by VJPs; what is given where these cannot serve f."""
    products: tuple[Callable[[], Tensor], ...] = (
        lambda: unit_diagonal(vjp(operator.field(f, functional_gradient), x), x, CHUNK),
        lambda: unit_diagonal(reverse(operator.field(f, reverse_gradient), x), x, 1),
    )
    with torch.no_grad():
        for product in products:
            with suppress(RuntimeError, NotImplementedError):
                return product().abs().sum(-1)
    return size
