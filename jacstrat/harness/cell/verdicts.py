"""ok or wrong: what the errors of a result come to, and what makes them so large."""

from __future__ import annotations

import numpy as np
import torch

from jacstrat.core.status import Status
from jacstrat.harness.cell.judging import Drawn
from jacstrat.harness.cell.setup import CellSetup
from jacstrat.measure.accuracy import Errors


def verdict(error: Errors, setup: CellSetup, drawn: Drawn | None = None) -> tuple[Status, str]:
    """ok or wrong, and why; a stochastic strategy by its draws."""
    if not np.isfinite(setup.reference.diagonal).all():
        return "wrong", _without_reference(setup)
    if drawn is not None:
        return ("wrong", drawn.fault) if drawn.fault else ("ok", "")
    if error.within:
        return "ok", ""
    dtype, largest = error.tolerance.dtype, torch.finfo(setup.instance.x.dtype).max
    if not error.in_range:
        return "wrong", f"the answer is beyond the range of {dtype}, which ends at {largest:.3g}"
    if not error.finite:
        return "wrong", f"the result is not finite; {dtype} ends at {largest:.3g}"
    return "wrong", f"relative error {error.rel_error:.2g} is beyond {_tolerated(error, setup)}"


def _tolerated(error: Errors, setup: CellSetup) -> str:
    """What an error is beyond, and whether the reference is worth that."""
    if error.uncertainty > error.tolerance.value:
        words = f"{error.uncertainty:.2g}, which the reference itself is uncertain by"
    else:
        words = f"the tolerance {error.tolerance}"
    reference_error = setup.reference.error(setup.operator)
    if reference_error is None or reference_error <= error.tolerated:
        return words
    where = "at some x: at a kink of f, or ill-conditioned"
    return f"{words}; the reference itself is uncertain by {reference_error:.2g} {where}"


def _without_reference(setup: CellSetup) -> str:
    """Why there is no number to compare with."""
    lost = np.isnan(setup.reference.diagonal).reshape(len(setup.reference.diagonal), -1).any(-1)
    if lost.any() and not setup.reference.closed:
        with torch.no_grad():
            y = setup.instance.value()
        lost = lost & torch.isfinite(y).reshape(len(lost), -1).all(-1).cpu().numpy()
        if lost.any():
            return (
                f"the reference is nan in {int(lost.sum())} of {lost.size} rows, first in row {int(lost.argmax())}, "
                "where f(x) is finite: reverse mode gives nan there, as at a kink, a norm or sqrt at 0, whose "
                "derivatives are torch's convention; keep such terms out of f, as the diagonal of pair distances"
            )
    return "the reference is not finite: is x in the domain of f?"
