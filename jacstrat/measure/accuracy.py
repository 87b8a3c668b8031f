"""Error as a measured quantity: absolute, relative to the size of the terms, and in units in the last place."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

# A product and a sum for each of 1024 coordinates, the largest n of the shipped sweeps: roundings in a row.
ROUNDINGS = 2048
# Matrix products in a row: five layers forward, back, and once more for a second derivative.
PRODUCTS = 16


@dataclass(frozen=True)
class Tolerance:
    """The largest relative error of a dtype that still counts as right.

    Fields:
        dtype: The name of the dtype in a sweep.
        epsilon: Distance from 1 to the next number; rounding is off by half of that, relative to the result.
        multiple: How many epsilons are tolerated.
        why: Where the multiple comes from, in words.
    """

    dtype: str
    epsilon: float
    multiple: float
    why: str

    @property
    def value(self) -> float:
        """The tolerance itself, a relative error."""
        return self.multiple * self.epsilon

    def __str__(self) -> str:
        return f"{self.value:.2g} of {self.dtype}"


_WORST = f"{ROUNDINGS} roundings in a row, all in one direction: {ROUNDINGS}/2 epsilon"
_LIKELY = (
    f"{ROUNDINGS} roundings that do not conspire, two standard deviations of 1/2 epsilon: sqrt({ROUNDINGS}) epsilon"
)
_FACTORS = f"{PRODUCTS} matrix products in a row, all in one direction, each of two factors rounded to 11 bits"

TOLERANCES: Mapping[str, Tolerance] = MappingProxyType(
    {
        tolerance.dtype: tolerance
        for tolerance in (
            Tolerance("float64", 2.0**-52, ROUNDINGS / 2, _WORST),
            Tolerance("float32", 2.0**-23, ROUNDINGS / 2, _WORST),
            Tolerance("tf32", 2.0**-10, PRODUCTS, _FACTORS),
            Tolerance("float16", 2.0**-10, math.sqrt(ROUNDINGS), _LIKELY),
            Tolerance("bfloat16", 2.0**-7, math.sqrt(ROUNDINGS), _LIKELY),
        )
    }
)


@dataclass(frozen=True)
class Errors:
    """How far results are from their reference, over the batch.

    Where the result is a diagonal, the error of a point is that of its worst entry.

    Fields:
        abs_error: The largest |result - reference|, the reference rounded to the dtype of the result.
        rel_error: The same over the size of the terms; infinite where these vanish and the error does not.
        ulp_error: The same in units in the last place of the reference.
        abs_error_median, rel_error_median, ulp_error_median: The median over the batch in place of the largest.
        exact: The error is 0: every result is the best that its dtype has.
        finite: Every result is a number.
        in_range: Every reference that is finite is so in the dtype, too.
        tolerance: What rel_error is judged by.
        uncertainty: Of the reference, relative as rel_error; a tolerance below it would judge the reference.
    """

    abs_error: float
    rel_error: float
    ulp_error: float
    abs_error_median: float
    rel_error_median: float
    ulp_error_median: float
    exact: bool
    finite: bool
    in_range: bool
    tolerance: Tolerance
    uncertainty: float = 0.0

    @property
    def tolerated(self) -> float:
        """The largest rel_error that counts as right."""
        return max(self.tolerance.value, self.uncertainty)

    @property
    def within(self) -> bool:
        """rel_error is tolerated, and no reference is beyond the range of the dtype."""
        return self.in_range and self.rel_error <= self.tolerated


def errors(
    result: Tensor, value: np.ndarray, scale: np.ndarray, dtype: str | None = None, uncertainty: float = 0.0
) -> Errors:
    """The errors of a result.

    Args:
        result: Of any floating or complex dtype, (B,), () or, where it is a diagonal, (B, n); with m outputs (B, m) or
            (B, m, n).
        value: The reference, numpy.longdouble or clongdouble, in the shape of the result.
        scale: The size of the terms that add up to each value, same shape.
        dtype: The name in TOLERANCES that the result is judged by; that of its own dtype unless given.
        uncertainty: By how much the reference may be off, relative to the scale.
    """
    tolerance = TOLERANCES[dtype or str(result.dtype.to_real()).removeprefix("torch.")]
    # The best answer that the dtype has; through float64, whose double rounding matters to no tolerance here.
    wide = np.complex128 if result.is_complex() else np.float64
    best = torch.from_numpy(np.asarray(value, dtype=wide)).to(result.dtype)
    got = result.detach().cpu()
    if best.numel() == 0:
        return Errors(0, 0, 0, 0, 0, 0, True, True, True, tolerance, uncertainty)
    same = got == best
    with np.errstate(divide="ignore", invalid="ignore"):
        difference = np.where(same, 0, np.abs(_wide(got) - _wide(best)))
        relative = np.where(difference == 0, 0, difference / scale)
        units = np.where(difference == 0, 0, difference / _wide(_ulp(best.abs())))
    abs_error, abs_median = _over_batch(difference)
    rel_error, rel_median = _over_batch(relative)
    ulp_error, ulp_median = _over_batch(units)
    in_range = not (np.isfinite(value) & torch.isinf(best).numpy()).any()
    return Errors(
        abs_error=abs_error,
        rel_error=rel_error,
        ulp_error=ulp_error,
        abs_error_median=abs_median,
        rel_error_median=rel_median,
        ulp_error_median=ulp_median,
        exact=bool(same.all()) and in_range,
        finite=bool(torch.isfinite(got).all()),
        in_range=in_range,
        tolerance=tolerance,
        uncertainty=uncertainty,
    )


def _over_batch(error: np.ndarray) -> tuple[float, float]:
    """The largest error and the median over the points; what is no number is infinitely wrong."""
    points = np.where(np.isnan(error), np.inf, error).reshape(len(error) if error.ndim else 1, -1).max(-1)
    return float(points.max()), float(np.median(points))


def _wide(tensor: Tensor) -> np.ndarray:
    if tensor.is_complex():
        return tensor.to(torch.complex128).numpy().astype(np.clongdouble)
    return tensor.double().numpy().astype(np.longdouble)


def _ulp(best: Tensor) -> Tensor:
    """The distance from |best| to the next larger number of its dtype: eps times its power of two."""
    info = torch.finfo(best.dtype)
    _, exponent = torch.frexp(best.double())
    power = torch.exp2((exponent - 1).double())
    smallest = info.smallest_normal * info.eps
    return torch.where(best == 0, smallest, info.eps * power).clamp_min(smallest)
