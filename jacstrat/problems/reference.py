"""A reference: the true terms that a result is compared with the sum of, and how they were found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from jacstrat.core.operator import Operator, parse_operator

# How many times the change of the reference by one unit in the last place of x another evaluation may be off by, since
# it rounds at every operation and not in x alone. Measured on 360 ill-conditioned determinants, the error of right
# strategies was within 0.4 times the change in half of the cases, 1.5 times in 9 of 10, 30 times in 99 of 100.
MARGIN = 32
# More than this is no rounding, but a jump, as at a kink, or a reference without digits: neither excuses a result.
MOST = 0.01


@dataclass(frozen=True, eq=False)
class Reference:
    """The true terms of an operator's result, and what follows from them.

    Fields:
        diagonal: The terms that a trace adds up, (B, K), or (B, m, K) of m outputs, numpy.longdouble, clongdouble where
            f is complex: J_ii or H_ii, with a weight (J A)_ii or (H A)_ii, of the coordinates asked for, or those of a
            closed form. Where the operator is a diagonal they are the result.
        source: How it was found, in words.
        dtype: What it was computed in; None for numpy.longdouble.
        change: The largest |change| of each entry as x moves by one unit in the last place of `dtype`, in the shape of
            `diagonal`, NaN where no moved point gave a number; None where x was not moved, as for numpy.longdouble.
        size: The size of each term, where it is a sum itself; None where that is |diagonal|.
        closed: Whether it is a closed form, derived by hand, and nothing was differentiated.

    An operator is given to its methods as a value or as its spec; of J_ii both the trace and the diagonal can be asked.
    """

    diagonal: np.ndarray
    source: str
    dtype: torch.dtype | None = None
    change: np.ndarray | None = None
    size: np.ndarray | None = None
    closed: bool = False

    @property
    def sizes(self) -> np.ndarray:
        """The size of each term."""
        sizes: np.ndarray = np.abs(self.diagonal) if self.size is None else self.size
        return sizes

    def value(self, operator: str | Operator) -> np.ndarray:
        """The operator's answer: (B,), (B, m), or for a diagonal `diagonal` itself."""
        value: np.ndarray = parse_operator(operator).reduced(self.diagonal)
        return value

    def scale(self, operator: str | Operator) -> np.ndarray:
        """The size of the terms, which a relative error is relative to, in the shape of `value`.

        The sum of |J_ii| over i, so that a trace near zero is not excused; for a diagonal the largest |J_ii|.
        """
        sizes = self.sizes
        if parse_operator(operator).is_trace:
            total: np.ndarray = sizes.sum(-1)
            return total
        return np.broadcast_to(sizes.max(-1, keepdims=True), sizes.shape)

    def cancellation(self, operator: str | Operator) -> float | None:
        """The largest sum |J_ii| / |sum J_ii| over the batch: by how much a sum magnifies the errors of its terms.

        Infinite where terms cancel to exactly 0, 1 where there are none to cancel, all being 0; None for a diagonal,
        which sums nothing.
        """
        if not parse_operator(operator).is_trace or self.diagonal.size == 0:
            return None
        size, total = self.scale(operator), np.abs(self.value(operator))
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(np.where(size == 0, 1, size / total).max())

    def uncertainties(self, operator: str | Operator) -> np.ndarray | None:
        """By how much the reference may be off at each point, (B,) or (B, m), relative to `scale`: MARGIN times its
        change.

        The changes of the entries add up, so that none hides another. Infinite where terms vanish and the change does
        not, NaN where nothing is known of the point; None where x was not moved.
        """
        if self.change is None:
            return None
        over = np.sum if parse_operator(operator).is_trace else np.max
        change, size = over(self.change, axis=-1), over(self.sizes, axis=-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.atleast_1d(np.where(change == 0, 0, MARGIN * change / size))

    def error(self, operator: str | Operator) -> float | None:
        """The largest of `uncertainties` over the batch that are numbers; None where there is none."""
        uncertainties = self.uncertainties(operator)
        return None if uncertainties is None else _largest(uncertainties[np.isfinite(uncertainties)])

    def uncertainty(self, operator: str | Operator) -> float:
        """What a tolerance is not to be below: the largest of `uncertainties` up to MOST; 0 without one."""
        uncertainties = self.uncertainties(operator)
        return 0.0 if uncertainties is None else _largest(uncertainties[uncertainties <= MOST]) or 0.0


def _largest(numbers: np.ndarray) -> float | None:
    return float(numbers.max()) if numbers.size else None


def dtype_name(dtype: torch.dtype) -> str:
    """A dtype without torch's name before it."""
    return str(dtype).removeprefix("torch.")


def wide(tensor: Tensor) -> np.ndarray:
    """The numbers of a tensor as numpy.longdouble, or clongdouble; every dtype here is a part of float64."""
    array = tensor.detach().to("cpu", torch.complex128 if tensor.is_complex() else torch.float64).numpy()
    return array.astype(np.clongdouble if tensor.is_complex() else np.longdouble)
