"""Error as a measured quantity: absolute, relative to the size of the terms, and in units in the last place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

# The largest relative error that still counts as right. A derivative by a few hundred operations loses a few hundred
# eps in the worst case, and the terms of a sum over hundreds of coordinates add theirs: about 1000 eps, rounded up.
# Half precision computes with 8 and 11 bits; a wrong contraction is off by far more than these.
TOLERANCE: Mapping[torch.dtype, float] = MappingProxyType(
    {torch.float64: 1e-12, torch.float32: 2e-4, torch.float16: 5e-2, torch.bfloat16: 3e-1}
)


@dataclass(frozen=True)
class Errors:
    """How far results are from their reference: the largest over the batch.

    Fields:
        abs_error: |result - reference|, the reference rounded to the dtype of the result.
        rel_error: The same over the size of the terms; infinite where these vanish and the error does not.
        ulp_error: The same in units in the last place of the reference.
        exact: The error is 0: every result is the best that its dtype has.
        finite: Every result is a number.
        within: rel_error is within the tolerance of the dtype, and every result is as finite as its reference.
    """

    abs_error: float
    rel_error: float
    ulp_error: float
    exact: bool
    finite: bool
    within: bool


def errors(result: Tensor, value: np.ndarray, scale: np.ndarray) -> Errors:
    """The errors of a result.

    Args:
        result: Of any floating dtype.
        value: The reference, numpy.longdouble, in the shape of the result.
        scale: The size of the terms that add up to each value, same shape.
    """
    dtype = result.dtype
    # The best answer that the dtype has; through float64, whose double rounding matters to no tolerance here.
    best = torch.from_numpy(np.asarray(value, dtype=np.float64)).to(dtype)
    got = result.detach().cpu()
    if best.numel() == 0:
        return Errors(0.0, 0.0, 0.0, exact=True, finite=True, within=True)
    finite = bool(torch.isfinite(got).all())
    same = got == best
    with np.errstate(divide="ignore", invalid="ignore"):
        difference = np.where(same, 0, np.abs(_wide(got) - _wide(best)))
        relative = np.where(difference == 0, 0, difference / scale)
        units = np.where(difference == 0, 0, difference / _wide(_ulp(best)))
    relative, units, difference = (np.where(np.isnan(a), np.inf, a) for a in (relative, units, difference))
    return Errors(
        abs_error=float(difference.max()),
        rel_error=float(relative.max()),
        ulp_error=float(units.max()),
        exact=bool(same.all()),
        finite=finite,
        within=bool(relative.max() <= TOLERANCE[dtype]),
    )


def _wide(tensor: Tensor) -> np.ndarray:
    return tensor.double().numpy().astype(np.longdouble)


def _ulp(best: Tensor) -> Tensor:
    """The distance from |best| to the next larger number of its dtype: eps times its power of two."""
    info = torch.finfo(best.dtype)
    _, exponent = torch.frexp(best.double())
    power = torch.exp2((exponent - 1).double())
    smallest = info.smallest_normal * info.eps
    return torch.where(best == 0, smallest, info.eps * power).clamp_min(smallest)
