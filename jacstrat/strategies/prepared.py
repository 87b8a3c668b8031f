"""An operator set up for a function, and what keeps it right: a witness before it is used, a guard at each call."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from jacstrat.errors import ShapeError, UnsupportedError
from jacstrat.strategies.checked import checked, plain_attention
from jacstrat.strategies.points import check_points, outside_inference_mode, usable
from jacstrat.strategies.told import telling
from jacstrat.strategies.witness import Witness, has_numbers
from jacstrat.tape.guard import Guard

if TYPE_CHECKING:
    from jacstrat.strategies.base import Contraction, Estimate, Function, Strategy


class Prepared:
    """An operator set up for a function: a callable x -> (B,), or (B, n) for "jacobian_diagonal"; less B for a point.

    Attributes:
        strategy: The strategy that does the work; where "auto" was asked for, its choice.
        operator, n: What it was prepared for.
        contraction: What was built. What rests on a recording of f is made anew, with a warning, when something that f
            reads has changed: a number, which tensor or layer it has.

    Raises, when called:
        ShapeError: x or f(x) has a shape that does not fit; names the shapes.
        UnsupportedError: The strategy cannot serve this function; says why.
    """

    def __init__(
        self,
        asked: Strategy,
        operator: str,
        f: Function,
        n: int,
        contraction: Contraction,
        again: Callable[[Tensor], Prepared],
    ) -> None:
        self.operator, self.n = operator, n
        self._asked, self._f, self._again = asked, f, again
        self.contraction, self.strategy = contraction, contraction.chosen or asked
        self._guard: Guard | None = None
        # Where it was held against a witness: with or without gradients tracked, and those in x.
        self._confirmed: set[tuple[bool, bool]] = set()
        self._warned = False

    def _become(self, other: Prepared) -> None:
        self.contraction, self.strategy = other.contraction, other.strategy
        self._guard, self._confirmed = other._guard, other._confirmed

    @property
    def reason(self) -> str:
        """Why this strategy, or on what ground it is right, in one line; "" where there is nothing to say."""
        return self.contraction.reason

    def __call__(self, x: Tensor) -> Tensor:
        result: Tensor = self._within_limits(lambda: self.contraction.evaluate, x)
        return result if result.dtype == x.dtype else result.to(x.dtype)

    def estimate(self, x: Tensor) -> Estimate:
        """The result with its standard error; without one where the strategy claims none."""
        from jacstrat.strategies.base import Estimate

        if self.contraction.estimate is None:
            return Estimate(self(x))
        return self._within_limits(lambda: self.contraction.estimate, x)

    def confirm(self, x: Tensor) -> None:
        """Hold the claim against a witness near x, and keep watch over what a recording of f rests on.

        Raises:
            UnsupportedError: It is wrong there; says by how much.
        """
        if self.contraction.is_confirmed and _is_seen(x):
            self._confirmed.add(_tracking(x))
        if self.contraction.is_traced and self._guard is None and not torch.compiler.is_compiling():
            before = Guard.of(self._f)
            self._hold(x)
            # What f changes at each call by itself is nothing that a recording could rest on.
            self._guard = before.settled()
        else:
            self._hold(x)

    def trust(self) -> None:
        """Take the claim as confirmed: for this function it was before."""
        self._confirmed.update(((False, False), (True, False), (True, True)))

    def _hold(self, x: Tensor) -> None:
        if self._asked.is_plain or _tracking(x) in self._confirmed or not _is_seen(x):
            return
        with outside_inference_mode(), telling(self.strategy, self._f, x), plain_attention():
            witness = Witness(self.operator, checked(self._f, self.operator), x)
            fault = witness.fault(self.contraction, self._asked.stochastic, transforms=self.strategy.transforms)
        if fault:
            raise UnsupportedError(f"{self.strategy} is not right for this function: it {fault}")
        self._confirmed.add(_tracking(x))

    def _within_limits(self, work: Callable[[], Any], x: Tensor) -> Any:
        check_points(x)
        if x.shape[-1] != self.n:
            raise ShapeError(f"prepared for points with n = {self.n}, got x of shape {tuple(x.shape)}; prepare again")
        x = usable(x)
        if not torch.compiler.is_compiling():
            if self._guard is not None and (change := self._guard.change()) is not None:
                self._renew(x, change)
            try:
                self._hold(x)
            except UnsupportedError:
                if self.contraction.chosen is None:
                    raise
                self._become(self._again(x))  # another one may be right with gradients
        with outside_inference_mode(), telling(self.strategy, self._f, x), plain_attention():
            return work()(x)

    def _renew(self, x: Tensor, change: str) -> None:
        """Prepare anew, since what f reads has changed; said once."""
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"{self.strategy}: {change} has changed since this operator was prepared, and it is prepared anew, now "
                "and at each such change; what changes with every call is better written into a tensor that f keeps",
                stacklevel=4,
            )
        self._become(self._again(x))


def _tracking(x: Tensor) -> tuple[bool, bool]:
    """Whether gradients are tracked, and those in x."""
    return torch.is_grad_enabled(), torch.is_grad_enabled() and x.requires_grad


def _is_seen(x: Tensor) -> bool:
    """Whether a witness looks at x at all."""
    return x.numel() > 0 and has_numbers(x)
