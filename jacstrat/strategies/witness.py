"""A witness that trusts no trace, no pattern, no rule of a transform: reverse over reverse by torch.autograd.grad.

A prepared operator is a claim. Before it is handed out it is held against the witness at a few points of the real x,
from different parts of it, those with zeros and ties among them, and at points with random numbers beside them; where
gradients are tracked, also in the gradient of the leaves along a random direction.

The witness is a claim of torch's, too, and is wrong where one of its rules is: so it is held against differences of f
in its turn, where f is smooth, and its gradient is a difference of its values. A block of no_grad, a detach or a custom
backward is no error that differences may contradict: there autograd is what is meant.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from jacstrat.core.operator import Operator
from jacstrat.strategies.cuts import ends, is_differentiable_once
from jacstrat.strategies.differences import STEPS, precision
from jacstrat.strategies.gaps import Transform, gap
from jacstrat.strategies.gradients import EDGES, POWER_OF_EPS, Gradients
from jacstrat.strategies.held_writes import HeldWrites
from jacstrat.strategies.look import Claim, ClaimLook, has_numbers
from jacstrat.strategies.probes import unit_rows
from jacstrat.strategies.sample import Sample, samples
from jacstrat.strategies.truth import MOST_ROUNDING, REFUSALS, ROUNDINGS, TOLERANCE, Question, Truth
from jacstrat.strategies.workload import same_random_numbers
from jacstrat.trace.arguments import Args, Function, bind, of_rows, taken
from jacstrat.trace.rows import are_coupled, rows_apart

# Coordinates up to which all unit vectors are taken: beyond, ENTRIES of them, or ALONG random directions.
FULL, ENTRIES, ALONG = 32, 8, 2
# What reverse mode alone rests on.
PLAIN: frozenset[Transform] = frozenset({"rules", "reverse"})
ONCE = "takes second derivatives, and an autograd.Function of f is marked as once_differentiable"
CHANGES = "takes f to give the same at each call, and it does not, as with random numbers of its own; use identity"
COUPLED = "takes f to be row-wise, and its rows depend on each other, as by a batch norm in training mode"


@dataclass(eq=False)
class Witness:
    """What plain autograd says of an operator of f near x. What it said is kept: candidates share it.

    Args:
        operator: Plain, of first or second order.
        f: Row-wise, shapes checked, one output.
        x: Points, (B, n) or (n,).
        args: Further arguments of f.
        terms: Of which f is the sum, (..., n), where it is one of terms that may cancel; None where it is none.

    Cost: min(n, 32) VJPs at up to 15 points and eight evaluations of f there, one of them for known gaps, see `gaps`;
    for each claim a call of it, at all of x where it was traced, else at these points. With gradients tracked seven
    times as many VJPs, and for each tensor in which a gradient differs from autograd's up to 21 times.
    """

    operator: Operator
    f: Function
    x: Tensor
    args: Args = ()
    terms: Function | None = None
    _truths: dict[object, Truth] = field(default_factory=dict)
    _gradients: Gradients = field(default_factory=Gradients)
    _gaps: dict[object, str] = field(default_factory=dict)

    def fault(
        self,
        claim: Claim,
        stochastic: bool = False,
        tracked: bool | None = None,
        transforms: frozenset[Transform] = frozenset(),
    ) -> str:
        """What is wrong with a claim, in words that go on behind "it"; "" where nothing is, or nothing can be seen.

        Args:
            claim: Of the operator of f.
            stochastic: Its results are random, and its products alone can be looked at.
            tracked: Whether its gradient is looked at, too; as it is now where not given.
            transforms: What its strategy takes f through; what is known to be wrong under these is refused by name.

        Raises:
            Whatever f or the claim raises.
        """
        if self.x.numel() == 0 or not has_numbers(self.x):
            return ""
        with same_random_numbers(self.x.device), torch.set_grad_enabled(self._is_tracked(tracked)):
            if self._is_random:
                return ""
            if self._is_coupled:
                return COUPLED
            if self._is_once:
                return ONCE
            if gap := self._gap(transforms, claim.is_traced):
                return gap
            for sample in self._samples:
                look = self._look(sample, claim, stochastic)
                if look is not None and (fault := self._fault(look)):
                    is_another = self._writes or self._changes
                    # By then f is another function, and one evaluation with its own graph is what is meant.
                    if transforms == PLAIN and not claim.is_traced and is_another:
                        return ""
                    return CHANGES if self._changes else fault
        return ""

    def _gap(self, transforms: frozenset[Transform], is_traced: bool) -> str:
        key = (transforms, is_traced, torch.is_grad_enabled())
        if key not in self._gaps:
            sample = self._samples[-1]
            points, args = (sample.seen, self._seen(sample)) if self._is_apart else (self.x.detach(), self.args)
            points = points.detach().requires_grad_(self.x.requires_grad)
            order, tracked = self.operator.order, torch.is_grad_enabled()
            self._gaps[key] = gap(bind(self.f, args), points, transforms, order, is_traced, tracked)
        return self._gaps[key]

    @staticmethod
    def _is_tracked(tracked: bool | None) -> bool:
        return torch.is_grad_enabled() if tracked is None else tracked

    @cached_property
    def _is_random(self) -> bool:
        """Whether f draws random numbers: then two results of it have nothing in common.

        One that sets a seed and draws gives the same again, although the generator has moved.
        """
        with torch.no_grad():
            before = _random_state(self.x.device)
            y = self.f(self.x.detach(), *self.args)
            if all(map(torch.equal, before, _random_state(self.x.device))):
                return False
            again = self.f(self.x.detach(), *self.args)
        return not torch.allclose(y, again, rtol=0, atol=0, equal_nan=True)

    @cached_property
    def _writes(self) -> bool:
        """Whether f writes into what it holds, so that it is another function at the next call."""
        point = self.x.detach()
        with torch.no_grad(), HeldWrites(point) as writes:
            self.f(point, *self.args)
        return writes.seen

    @cached_property
    def _changes(self) -> bool:
        """Whether f gives something else at each call: by a generator of its own, or as it counts its calls."""
        with torch.no_grad():
            first, *others = (self.f(self.x.detach(), *self.args) for _ in range(3))
        # Sums in another order, as those of some devices, are off by rounding alone.
        share = torch.finfo(precision(first)).eps ** 0.5
        size = float(first.abs().nan_to_num(0, 0).max())
        return not all(torch.allclose(first, one, rtol=share, atol=share * size, equal_nan=True) for one in others)

    @cached_property
    def _is_coupled(self) -> bool:
        return not self._is_apart and are_coupled(self.f, self.x, self.args)

    @cached_property
    def _is_once(self) -> bool:
        try:
            return self.operator.order == 2 and is_differentiable_once(bind(self.f, self.args), self.x)
        except REFUSALS:  # told where a claim is looked at
            return False

    @cached_property
    def _is_apart(self) -> bool:
        """Whether f may be asked for a part of the rows of x."""
        return not rows_apart(self.f, self.x, self.args)

    @cached_property
    def _samples(self) -> tuple[Sample, ...]:
        drawn = samples(self.x)
        try:
            with torch.no_grad():
                self.f(drawn[-1].points, *self.args)
        except Exception:  # f takes the real points and no others, as one that looks numbers up
            return (Sample(self.x.detach(), drawn[0].rows),)
        return drawn

    def _look(self, sample: Sample, claim: Claim, stochastic: bool) -> ClaimLook | None:
        """How a claim is looked at; None where it is random and shows no product, and where it takes no more points."""
        n = self.x.shape[-1]
        few = n > FULL or stochastic
        evaluate, entries, along = claim.evaluate, claim.entries, claim.along
        numbers: Function
        is_summed = self.operator.is_trace
        if few and along is not None:
            generator = torch.Generator().manual_seed(n)
            V = torch.randn(ALONG, n, generator=generator, dtype=torch.float64, device="cpu").to(self.x)
            is_summed, numbers = True, lambda points, *args: along(V, points, *args).unsqueeze(0)
        elif few and entries is not None:
            coordinates = torch.tensor(sorted({k * n // ENTRIES for k in range(ENTRIES)}), device=self.x.device)
            V = unit_rows(self.x, coordinates)
            is_summed, numbers = False, lambda points, *args: entries(coordinates, points, *args).movedim(-1, 0)
        elif stochastic:
            return None
        else:
            V = unit_rows(self.x, torch.arange(n, device=self.x.device))

            def numbers(points: Tensor, *args: Any) -> Tensor:
                results = evaluate(points, *args)
                return results.unsqueeze(0) if is_summed else results.movedim(-1, 0)

        is_whole = sample.rows is not None and (claim.is_traced or not self._is_apart)
        if is_whole and sample.is_longer:
            return None
        seen = self._seen(sample)

        def at(function: Function) -> Function:
            def f(points: Tensor) -> Tensor:
                if sample.rows is None or self._is_apart:
                    return function(points, *seen)
                return sample.of(function(sample.placed(points), *self._placed(sample, seen)))

            return f

        def claimed(points: Tensor) -> Tensor:
            if not is_whole:
                return numbers(points, *seen)
            return sample.of(numbers(sample.placed(points), *self._placed(sample, seen)), 1)

        question = Question(self.operator, at(self.f), sample.seen, V, None if self.terms is None else at(self.terms))
        return ClaimLook(sample, question, is_summed, claimed)

    def _seen(self, sample: Sample) -> Args:
        """Arguments for the rows that are looked at: leaves of their own, where they are parts."""
        if sample.rows is None:
            return self.args
        pairs = zip(taken(self.x, self.args, sample.rows), of_rows(self.x, self.args), strict=True)
        return tuple(arg.detach().requires_grad_(arg.requires_grad) if goes else arg for arg, goes in pairs)

    def _placed(self, sample: Sample, seen: Args) -> Args:
        """Arguments for all rows, with others in place of those for the rows that are looked at."""
        if sample.rows is None:
            return seen
        return tuple(
            arg.detach().index_copy(0, sample.rows, part) if goes else arg
            for arg, part, goes in zip(self.args, seen, of_rows(self.x, self.args), strict=True)
        )

    def _fault(self, look: ClaimLook) -> str:
        key = (id(look.sample), len(look.question.V), look.is_summed)
        if key not in self._truths:
            self._truths[key] = look.question.answer()
        truth, seen = self._truths[key], look.sample.seen
        tracked = torch.is_grad_enabled()
        leaf = seen.clone().requires_grad_() if tracked and self.x.requires_grad else seen
        ending = ends(look.question.f, leaf) if tracked else None
        claimed = look.claimed(leaf).to(seen.dtype)
        if fault := _value_fault(look, truth, claimed.detach()):
            return fault
        if ending is None or precision(seen) not in STEPS or not bool(truth.is_known.any()):
            return ""
        has_gap = bool(self._gap(frozenset({"rules", "reverse"}), False))
        return self._gradients.fault(key, look, truth, claimed, leaf, ending, has_gap)


def _value_fault(look: ClaimLook, truth: Truth, claimed: Tensor) -> str:
    expected, size = look.summed(truth.forms), truth.size
    if claimed.shape != expected.shape:
        return f"gives {tuple(claimed.shape[1:])} for {tuple(expected.shape[1:])}"
    if bool((look.summed(truth.is_nan).bool() & claimed.isfinite()).any()):
        return f"gives a finite number where reverse mode gives none: {EDGES}"
    known = truth.is_known.all(0) if look.is_summed else truth.is_known
    loose = truth.by_differences.any(0) if look.is_summed else truth.by_differences
    dtype = precision(look.question.points)
    share = torch.where(loose, TOLERANCE.get(dtype, 1.0), torch.finfo(dtype).eps ** POWER_OF_EPS)
    # Where all terms are 0 rounding may leave some units of numbers about 1.
    noise = look.summed(truth.noise) + ROUNDINGS * torch.finfo(dtype).eps * (size == 0)
    off = ((claimed - expected).abs() - noise).clamp_min(0)
    bad = known & ~(off <= share * size)
    if bool(bad.any()):  # what one unit in the last place of x changes is rounding's, but where autograd has no say
        slack = (ROUNDINGS * look.summed(look.question.rounding())).clamp_max(MOST_ROUNDING * size)
        slack = torch.maximum(slack, torch.maximum(look.question.least(size), look.question.of_entries(size)))
        bad = bad & (loose | ~(off <= share * size + slack))
    if not bool(bad.any()):
        return ""
    terms = f"the sum of |{'H' if look.question.order == 2 else 'J'}_ii|"
    if not bool(claimed[bad].isfinite().all()):
        return f"gives no finite number where f is smooth: {EDGES}"
    if bool((bad & (size == 0)).any()):
        return f"gives {float(claimed[bad & (size == 0)].abs().max()):.2g} where {terms} is 0"
    return f"is off by {float((off / size)[bad].max()):.2g} of {terms}"


def _random_state(device: torch.device) -> list[Tensor]:
    states = [torch.get_rng_state()]
    return [*states, torch.get_device_module(device).get_rng_state(device)] if device.type != "cpu" else states
