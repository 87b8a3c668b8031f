"""What a rule is: how one operation takes jets to jets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from jacstrat.taylor.jet import Jet
from jacstrat.trace.tape import leaves

Result = Jet | Tensor | None


class TaylorCall(NamedTuple):
    """One operation about to be done.

    Fields:
        op: What computes its value.
        args, kwargs: Its arguments, those that depend on x as jets; every positional argument is in its place.
        wants_tangents: Whether the tangents of the result are needed.
        may_overwrite: Whether the tangents of its arguments are needed no more and no graph is being recorded, so that
            those that are `owned` may be overwritten.
        used: Which of its outputs are used.
    """

    op: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    wants_tangents: bool = True
    may_overwrite: bool = False
    used: tuple[bool, ...] = (True,)


def never(arguments: Sequence[bool]) -> bool:
    """A second derivative that is there whatever depends on x."""
    return False


def always(arguments: Sequence[bool]) -> bool:
    """No second derivative, however many of the arguments depend on x."""
    return True


def only_one(arguments: Sequence[bool]) -> bool:
    """A product: linear in each of its arguments."""
    return sum(arguments) == 1


@dataclass(frozen=True, eq=False)
class Rule:
    """How an operation takes jets to jets.

    Fields:
        apply: From a Call, at least one argument of which is a jet, to its result, or a tuple of them where the
            operation has several outputs.
        is_linear: Whether the second derivative vanishes, given which of the positional arguments depend on x.
        is_piecewise: Whether the first derivative still depends on the point, where is_linear holds.
    """

    apply: Callable[[TaylorCall], Any]
    is_linear: Callable[[Sequence[bool]], bool] = never
    is_piecewise: bool = False


def others_than_first(call: TaylorCall) -> tuple[Any, ...]:
    """The arguments behind the first, where the first alone depends on x."""
    if not isinstance(call.args[0], Jet) or any(isinstance(leaf, Jet) for leaf in leaves(call.args[1:])):
        raise NotCovered
    return call.args[1:]


class NotCovered(Exception):  # noqa: N818 - a turning, and no fault
    """A case that a rule leaves to the one for any operation."""


def handed_on(call: TaylorCall, v: Jet, tangents: Tensor | None) -> bool:
    """Whether the tangents made from those of v, perhaps as a view of them, may be overwritten in their turn.

    Where v is still needed neither may be.
    """
    if call.may_overwrite and v.owned and tangents is not None:
        return all(stride > 0 or size == 1 for size, stride in zip(tangents.shape, tangents.stride(), strict=True))
    v.owned = False
    return False
