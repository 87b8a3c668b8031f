"""An operator set up for a function, and what keeps it right: a witness before it is used, a guard at each call."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from jacstrat.core.considered import Considered
from jacstrat.core.errors import ShapeError, UnsupportedError
from jacstrat.core.operator import Operator
from jacstrat.strategies.checked import plain_attention
from jacstrat.strategies.contraction import Contraction, Estimate, Together
from jacstrat.strategies.error_hints import hinted
from jacstrat.strategies.hold import Hold
from jacstrat.strategies.look import has_numbers
from jacstrat.strategies.points import beside_the_result, check_points, outside_inference_mode, usable
from jacstrat.strategies.products import gradient_of
from jacstrat.strategies.reduction import Reduction
from jacstrat.strategies.workload import same_random_numbers
from jacstrat.trace.arguments import Args, Function, as_fractions, is_immutable
from jacstrat.trace.guard import Guard
from jacstrat.trace.quiet import UNCHANGED, without_fallback_warnings

if TYPE_CHECKING:
    from jacstrat.strategies.base import Strategy

# Other whole numbers among the arguments for which what records nothing is prepared anew: f may take another way.
INTEGERS = 4

R = TypeVar("R")


class StaleError(Exception):
    """What a kept operator was prepared for has changed."""


class Prepared:
    """An operator set up for a function: a callable (x, *args) -> result, in the shape that `Strategy.prepare` tells.

    Attributes:
        strategy: The strategy that does the work; where "auto" was asked for, its choice.
        reduction: The operator, reduced to a plain one.
        n: Coordinates that it was prepared for.
        contraction: What was built. What rests on a recording of f is made anew, with a warning, when something that f
            reads has changed: a number, which tensor or layer it has.

    Raises, when called:
        ShapeError: x or f(x) has a shape that does not fit; names the shapes.
        UnsupportedError: The strategy cannot serve this function; says why.
    """

    def __init__(
        self,
        asked: Strategy,
        reduction: Reduction,
        f: Function,
        x: Tensor,
        args: Args,
        event_dim: int,
        contraction: Contraction,
        again: Callable[[Tensor, Args], Prepared],
    ) -> None:
        self.reduction, self.n = reduction, x.shape[-event_dim:].numel()
        self._asked, self._f, self._event_dim, self._again = asked, f, event_dim, again
        self.contraction, self.strategy = contraction, contraction.chosen or asked
        self._guard: Guard | None = None
        self._kinds_of_args = self._kinds(x, args)
        # Where it was held against a witness: with or without gradients tracked, and those in x.
        self._confirmed: set[tuple[bool, bool]] = set()
        self._warned = self._is_kept = False
        # Whether whole numbers among the arguments are given as fractions; how many others it was prepared for.
        self._takes_fractions, self._integers = False, 0

    def _become(self, other: Prepared) -> None:
        self.reduction, self._kinds_of_args = other.reduction, other._kinds_of_args
        self.contraction, self.strategy = other.contraction, other.strategy
        self._guard, self._confirmed = other._guard, other._confirmed

    @property
    def reason(self) -> str:
        """Why this strategy, or on what ground it is right, in one line; "" where there is nothing to say."""
        return self.contraction.reason

    @property
    def considered(self) -> tuple[Considered, ...]:
        """What `auto` chose among, the fastest first, each with its counts and times; empty where it compared nothing:
        for another strategy, and where it had chosen for this function before in this process.
        """
        return self.contraction.considered

    @property
    def operator(self) -> Operator:
        """The plain operator that does the work."""
        return self.reduction.operator

    def __call__(self, x: Tensor, *args: Any) -> Tensor:
        return self.within_limits(self.result_at, x, args)

    def result_at(self, x: Tensor, *args: Any) -> Tensor:
        """The result, nothing looked at."""
        result = self.reduction.result(self.contraction.evaluate(*self._points(x, args)))
        return result if result.dtype == x.dtype or result.is_complex() else result.to(x.dtype)

    def estimate(self, x: Tensor, *args: Any) -> Estimate:
        """The result with its standard error; without one where the strategy claims none."""
        if self.contraction.estimate is None:
            return Estimate(self(x, *args))

        def evaluate(x: Tensor, *args: Any) -> Estimate:
            assert self.contraction.estimate is not None
            value, error = self.contraction.estimate(*self._points(x, args))
            return Estimate(self.reduction.result(value), None if error is None else self.reduction.result(error))

        return self.within_limits(evaluate, x, args)

    def together(self, x: Tensor, *args: Any) -> Together:
        """The result with f(x), and of a scalar its gradient (..., n): from one pass where the strategy can."""
        return self.within_limits(self.together_at, x, args)

    def together_at(self, x: Tensor, *args: Any) -> Together:
        """The result and what stands beside it, nothing looked at."""
        contraction, reduction = self.contraction, self.reduction
        # Behind a change of variables the value and the gradient are those of another function.
        value = gradient = None
        if contraction.together is None or not reduction.is_transparent:
            result = contraction.evaluate(*self._points(x, args))
        else:
            result, value, gradient = contraction.together(*self._points(x, args))
            value, gradient = reduction.beside(value, gradient)
        if value is None:
            value = self._f(x, *args)
        if gradient is None and reduction.kind == "scalar":
            gradient = gradient_of(self._f, x, args, self._event_dim)
        return Together(reduction.result(result), value, gradient)

    def recalled(self, work: Callable[..., R], x: Tensor, args: Args) -> R:
        """What `result_at` or `together_at` gives for a call that is known to be like one before.

        So shapes, kinds of arguments and modes are not looked at again; what a recording rests on is.

        Raises:
            StaleError: That has changed.
        """
        if (change := self._change()) is not None:
            raise StaleError(change)
        return self._at_work(work, usable(x), args)

    def _points(self, x: Tensor, args: Args) -> tuple[Any, ...]:
        if not self.reduction.stages:
            return (x, *args)
        z, z_args = self.reduction.points(x, args)
        return (z, *z_args)

    def _kinds(self, x: Tensor, args: Args) -> tuple[Hashable, ...]:
        """What is made anew for, where it changes: what arguments are, apart from the numbers of tensors and fractions.

        What is no value may change without a sign: what rests on a recording is then made anew at each call.
        """
        return tuple(self._kind(x, arg) for arg in args)

    def _kind(self, x: Tensor, arg: object) -> Hashable:
        if isinstance(arg, Tensor):
            of_rows = x.dim() > self._event_dim and arg.dim() > 0 and len(arg) == len(x)
            return (of_rows, arg.shape[1:] if of_rows else arg.shape, arg.dtype, arg.device, arg.requires_grad)
        if isinstance(arg, float):
            return (float,)
        if is_immutable(arg):
            return (type(arg), arg)
        return object() if self.contraction.is_traced else None

    def confirm(self, x: Tensor, args: Args = ()) -> None:
        """Hold the claim against a witness near x, and keep watch over what a recording of f rests on.

        Raises:
            UnsupportedError: It is wrong there; says by how much.
        """
        if self.contraction.is_confirmed and _is_seen(x):
            self._confirmed.add(_tracking(x))
        if self.contraction.is_traced and self._guard is None and not torch.compiler.is_compiling():
            before = Guard.of(self._f)
            self._hold(x, args)
            # What f changes at each call by itself is nothing that a recording could rest on.
            if self.contraction.is_confirmed and has_numbers(x):
                with torch.no_grad(), outside_inference_mode(), same_random_numbers(x.device):
                    self._f(x.detach(), *args)
            self._guard = before.settled()
        else:
            self._hold(x, args)

    def trust(self) -> None:
        """Take the claim as confirmed: for this function it was before."""
        self._confirmed.update(((False, False), (True, False), (True, True)))

    def keep_for_others(self) -> None:
        """Raise StaleError where something has changed, for whoever keeps it to make another one of f as it is then."""
        self._is_kept = True

    def _hold(self, x: Tensor, args: Args) -> None:
        if self._asked.is_plain or _tracking(x) in self._confirmed or not _is_seen(x):
            return
        with beside_the_result(), hinted(self.strategy, self._f, x, args), plain_attention():
            z, z_args = self.reduction.points(x, args)
            hold = Hold(self.operator, self.reduction.function, z, z_args)
            fault = hold.fault(self.contraction, self._asked.stochastic, self.strategy.transforms)
        if fault:
            raise UnsupportedError(f"{self.strategy} is not right for this function: it {fault}")
        self._confirmed.add(_tracking(x))

    def within_limits(self, work: Callable[..., R], x: Tensor, args: Args) -> R:
        """What `result_at` or `together_at` gives, where this serves x and args, or can be made to."""
        if self._event_dim == 1:
            check_points(x)
        n = x.shape[-1] if self._event_dim == 1 else x.shape[-self._event_dim :].numel()
        if n != self.n:
            raise ShapeError(f"prepared for points with n = {self.n}, got x of shape {tuple(x.shape)}; prepare again")
        if self._takes_fractions:
            args = as_fractions(args) or args
        if torch.compiler.is_compiling() and not self.contraction.is_traced:
            return work(x, *args)  # with fullgraph=True, too: a program can hold nothing of what is looked at below
        x = usable(x)
        if not torch.compiler.is_compiling():
            if (change := self._change()) is not None:
                if self._is_kept:
                    raise StaleError(change)
                self._renew(x, args, change)
            elif self.reduction.is_stale(x):
                self._become(self._again(x, args))
            elif args and (kinds := self._kinds(x, args)) != self._kinds_of_args:
                args = self._for_others(x, args, kinds)
            try:
                self._hold(x, args)
            except UnsupportedError:
                # Prepared with gradients it may be right, or another one of `auto`.
                self._become(self._again(x, args))
        return self._at_work(work, x, args)

    def _at_work(self, work: Callable[..., R], x: Tensor, args: Args) -> R:
        # Whoever asks for vmap is told what is slow under it; where it was chosen, or serves a rule, nobody asked.
        is_told = torch.compiler.is_compiling() or not (self.contraction.is_traced or self.contraction.chosen)
        with hinted(self.strategy, self._f, x, args), plain_attention():
            if is_told or torch.is_inference_mode_enabled():
                with outside_inference_mode(), UNCHANGED if is_told else without_fallback_warnings():
                    return work(x, *args)
            with without_fallback_warnings():
                return work(x, *args)

    def _for_others(self, x: Tensor, args: Args, kinds: tuple[Hashable, ...]) -> Args:
        """Prepare for arguments of other kinds, and give these as they are to be taken then.

        A number of steps changes at each call: to a recording it is a fraction from then on, where f takes one. What
        records nothing gives f whatever it is called with, and is held against a witness for the first ones.
        """
        if not self._is_other_integer(kinds):
            self._become(self._again(x, args))
        elif self.contraction.is_traced:
            if fractions := self._taken_as_fractions(x, args):
                return fractions
            self._become(self._again(x, args))
        elif self._integers < INTEGERS:
            self._integers += 1
            self._become(self._again(x, args))
        else:
            self._kinds_of_args = kinds
        return args

    def _is_other_integer(self, kinds: tuple[Hashable, ...]) -> bool:
        """Whether all that changed is a whole number or several."""
        pairs = zip(kinds, self._kinds_of_args, strict=False)
        return len(kinds) == len(self._kinds_of_args) and all(a == b or _are_integers(a, b) for a, b in pairs)

    def _taken_as_fractions(self, x: Tensor, args: Args) -> Args:
        """Prepare with whole numbers as fractions, and give them so; () where f does not do the same with them."""
        fractions = as_fractions(args)
        if self.reduction.has_weight_function:  # which is not recorded
            return ()
        try:
            with torch.no_grad(), outside_inference_mode():
                for more in range(3):  # the next ones are likely to be asked for, too
                    others = tuple(arg + more if type(arg) is int else arg for arg in args)
                    given, expected = self._f(x.detach(), *as_fractions(others)), self._f(x.detach(), *others)
                    torch.testing.assert_close(given, expected)
            other = self._again(x, fractions)
        except Exception:  # whatever f raises for a fraction where it takes an index
            return ()
        if not other.contraction.is_traced:
            return ()
        self._become(other)
        self._takes_fractions = True
        return fractions

    def _change(self) -> str | None:
        """What a recording or a proof rests on and is not as it was; None where all is."""
        change = None if self._guard is None else self._guard.change()
        numbers = self.contraction.guard
        return numbers.change() if change is None and numbers is not None else change

    def _renew(self, x: Tensor, args: Args, change: str) -> None:
        """Prepare anew, since what f reads has changed; said once."""
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"{self.strategy}: {change} has changed since this operator was prepared, and it is prepared anew, now "
                "and at each such change; what changes with every call is better written into a tensor that f keeps",
                stacklevel=4,
            )
        self._become(self._again(x, args))


def _are_integers(one: Hashable, other: Hashable) -> bool:
    return all(isinstance(kind, tuple) and kind[:1] == (int,) for kind in (one, other))


def _tracking(x: Tensor) -> tuple[bool, bool]:
    """Whether gradients are tracked, and those in x."""
    return torch.is_grad_enabled(), torch.is_grad_enabled() and x.requires_grad


def _is_seen(x: Tensor) -> bool:
    """Whether a witness looks at x at all."""
    return x.numel() > 0 and has_numbers(x)
