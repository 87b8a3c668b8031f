"""A witness that trusts no trace, no pattern, no rule of a transform: reverse over reverse by torch.autograd.grad.

A prepared operator is a claim. Before it is handed out it is held against the witness at a few points of the real x,
from different parts of it, those with zeros and ties among them, and at points with random numbers beside them; where
gradients are tracked, also in the gradient of the leaves along a random direction.

The witness is a claim of torch's, too, and is wrong where one of its rules is: so it is held against differences of f
in its turn, where f is smooth, and its gradient is a difference of its values. A block of no_grad, a detach or a custom
backward is no error that differences may contradict: there autograd is what is meant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from jacstrat.strategies.cuts import Ends, ends, has_cuts
from jacstrat.strategies.differences import STEPS, along_line, precision, steadily
from jacstrat.strategies.probes import unit_rows
from jacstrat.strategies.sample import Sample, samples
from jacstrat.strategies.truth import REFUSALS, TOLERANCE, Question, Truth
from jacstrat.strategies.workload import same_random_numbers
from jacstrat.tape.rows import rows_apart

Function = Callable[[Tensor], Tensor]

# Coordinates up to which all unit vectors are taken: beyond, ENTRIES of them, or ALONG random directions.
FULL, ENTRIES, ALONG = 32, 8, 2
# Rounding is off by some eps of the terms; a term that is missing by far more than the square root of it.
POWER_OF_EPS = 0.5
# What a move by one unit in the last place changes is rounding, so many times over.
ROUNDINGS = 64
# The gradient of what hardly depends on a leaf is compared with so much.
LEAST_SLOPE = 1e-10

_EDGES = "at an edge, such as norm or sqrt at 0, torch's derivative is a convention"


class Claim(Protocol):
    """What is held against the witness, as a `Contraction` has it."""

    @property
    def evaluate(self) -> Function: ...
    @property
    def entries(self) -> Callable[[Tensor, Tensor], Tensor] | None: ...
    @property
    def along(self) -> Callable[[Tensor, Tensor], Tensor] | None: ...
    @property
    def is_traced(self) -> bool: ...


def has_numbers(x: Tensor) -> bool:
    """Whether values of x can be looked at: no meta or fake tensor, no tracer, no transform around."""
    return not (
        x.is_meta
        or torch.compiler.is_compiling()
        or torch._C._functorch.peek_interpreter_stack() is not None
        or torch.utils._python_dispatch._get_current_dispatch_mode_stack()
    )


class Look(NamedTuple):
    """One look at a claim.

    Fields:
        sample: The points.
        question: What the witness is asked.
        is_summed: Whether the claim gives the sum of the forms, and not each.
        claimed: The claim's numbers at points in place of those that are looked at, (K, ...), K = 1 where summed.
    """

    sample: Sample
    question: Question
    is_summed: bool
    claimed: Function

    def summed(self, forms: Tensor) -> Tensor:
        """Forms as the claim has them."""
        return forms.sum(0, keepdim=True) if self.is_summed else forms


class Slope(NamedTuple):
    """A derivative along a direction of the leaves, by differences; fields as in `Difference`."""

    value: float
    is_smooth: bool
    noise: float


@dataclass(eq=False)
class Witness:
    """What plain autograd says of an operator of f near x. What it said is kept: candidates share it.

    Args:
        operator: "laplacian", or another for f itself.
        f: Row-wise, shapes checked.
        x: Points, (B, n) or (n,).

    Cost: min(n, 32) VJPs at up to 10 points and seven evaluations of f there; for each claim a call of it, at all of x
    where it was traced, else at these points. With gradients tracked seven times as many VJPs.
    """

    operator: str
    f: Function
    x: Tensor
    _truths: dict[object, Truth] = field(default_factory=dict)
    _slopes: dict[object, Slope] = field(default_factory=dict)

    def fault(self, claim: Claim, stochastic: bool = False, tracked: bool | None = None) -> str:
        """What is wrong with a claim, in words that go on behind "it"; "" where nothing is, or nothing can be seen.

        Args:
            claim: Of the operator of f.
            stochastic: Its results are random, and its products alone can be looked at.
            tracked: Whether its gradient is looked at, too; as it is now where not given.

        Raises:
            Whatever f or the claim raises.
        """
        if self.x.numel() == 0 or not has_numbers(self.x):
            return ""
        with same_random_numbers(self.x.device), torch.set_grad_enabled(self._is_tracked(tracked)):
            if self._is_random:
                return ""
            for sample in self._samples:
                look = self._look(sample, claim, stochastic)
                if look is not None and (fault := self._fault(look)):
                    return fault
        return ""

    @staticmethod
    def _is_tracked(tracked: bool | None) -> bool:
        return torch.is_grad_enabled() if tracked is None else tracked

    @cached_property
    def _is_random(self) -> bool:
        """Whether f draws random numbers: then two results of it have nothing in common."""
        with torch.no_grad():
            before = torch.get_rng_state()
            self.f(self.x.detach())
            return not torch.equal(before, torch.get_rng_state())

    @cached_property
    def _is_apart(self) -> bool:
        """Whether f may be asked for a part of the rows of x."""
        return not rows_apart(self.f, self.x)

    @cached_property
    def _samples(self) -> tuple[Sample, ...]:
        return samples(self.x)

    def _look(self, sample: Sample, claim: Claim, stochastic: bool) -> Look | None:
        """How a claim is looked at; None where it is random and shows no product."""
        n = self.x.shape[-1]
        few = n > FULL or stochastic
        evaluate, entries, along = claim.evaluate, claim.entries, claim.along
        numbers: Function
        is_summed = self.operator != "jacobian_diagonal"
        if few and along is not None:
            generator = torch.Generator().manual_seed(n)
            V = torch.randn(ALONG, n, generator=generator, dtype=torch.float64).to(self.x)
            is_summed, numbers = True, lambda points: along(points, V).unsqueeze(0)
        elif few and entries is not None:
            coordinates = torch.tensor(sorted({k * n // ENTRIES for k in range(ENTRIES)}), device=self.x.device)
            V = unit_rows(self.x, coordinates)
            is_summed, numbers = False, lambda points: entries(points, coordinates).movedim(-1, 0)
        elif stochastic:
            return None
        else:
            V = unit_rows(self.x, torch.arange(n, device=self.x.device))
            numbers = (lambda x: evaluate(x).unsqueeze(0)) if is_summed else (lambda x: evaluate(x).movedim(-1, 0))
        is_whole = sample.rows is not None and (claim.is_traced or not self._is_apart)
        f = self.f if sample.rows is None or self._is_apart else lambda x: sample.of(self.f(sample.placed(x)))
        claimed = (lambda x: sample.of(numbers(sample.placed(x)), 1)) if is_whole else numbers
        return Look(sample, Question(self.operator, f, sample.seen, V), is_summed, claimed)

    def _fault(self, look: Look) -> str:
        key = (id(look.sample.points), len(look.question.V), look.is_summed)
        if key not in self._truths:
            self._truths[key] = look.question.answer()
        truth, seen = self._truths[key], look.sample.seen
        tracked = torch.is_grad_enabled()
        leaf = seen.clone().requires_grad_() if tracked and self.x.requires_grad else seen
        ending = ends(look.question.f, leaf) if tracked else None
        given = look.claimed(leaf).to(seen.dtype)
        if fault := _value_fault(look, truth, given.detach()):
            return fault
        if ending is None or precision(seen) not in STEPS or not bool(truth.is_known.any()):
            return ""
        return self._gradient_fault(key, look, truth, given, leaf, ending)

    def _gradient_fault(self, key: object, look: Look, truth: Truth, given: Tensor, leaf: Tensor, ending: Ends) -> str:
        leaves = [*ending.leaves, *([leaf] if leaf.requires_grad else [])]
        if not leaves:
            return ""
        known = truth.is_known.all(0)
        weights = torch.linspace(1, 2, known.numel(), dtype=given.dtype, device=given.device).view_as(known) * known
        directions = [_direction(tensor, number) for number, tensor in enumerate(leaves)]
        try:
            gradients = _gradients((torch.where(known, given, 0) * weights).sum(), leaves)
        except REFUSALS as error:
            return f"has no gradient: {' '.join(str(error).split()).split('. ')[0]}"
        found = _dot(gradients, directions)
        size = sum(float((g * d).square().sum()) for g, d in zip(gradients, directions, strict=True)) ** 0.5

        def total(points: Tensor) -> Tensor:
            return look.question.total(points, truth, weights)

        tolerance = TOLERANCE[given.dtype]
        is_seen = not ending.goes_beyond
        for is_steady in (False, True):
            if is_steady or key not in self._slopes:
                self._slopes[key] = _slope(total, leaves, directions, leaf, is_steady)
            expected, is_smooth, noise = self._slopes[key]
            is_seen = is_seen and is_smooth
            if not is_seen:
                break
            if _is_near(found, expected, size, tolerance, noise):
                return ""
        is_seen = is_seen and not has_cuts(look.question.f, look.question.points)
        if not is_seen or not isfinite(found):
            # By autograd, where differences do not see what is meant, or see a kink; and where a row at an edge leaves
            # no gradient to any.
            own = _own_slope(total, leaves, directions, leaf, truth)
            if own is None and not is_seen:
                return ""
            if own is not None and (own != own or _is_near(found, own, size, tolerance)):
                return ""
            expected = expected if own is None else own
        share = abs(found - expected) / max(size, abs(expected), LEAST_SLOPE)
        if not share < torch.inf:
            return f"has a gradient that is not finite where the operator is smooth: {_EDGES}"
        return f"has a gradient in what f holds that is off by {share:.2g} of its size"


def _value_fault(look: Look, truth: Truth, given: Tensor) -> str:
    expected, size = look.summed(truth.forms), truth.size
    if given.shape != expected.shape:
        return f"gives {tuple(given.shape[1:])} for {tuple(expected.shape[1:])}"
    if bool((look.summed(truth.is_nan).bool() & given.isfinite()).any()):
        return f"gives a finite number where reverse mode gives none: {_EDGES}"
    known = truth.is_known.all(0) if look.is_summed else truth.is_known
    loose = truth.by_differences.any(0) if look.is_summed else truth.by_differences
    dtype = precision(look.question.points)
    share = torch.where(loose, TOLERANCE.get(dtype, 1.0), torch.finfo(dtype).eps ** POWER_OF_EPS)
    off = ((given - expected).abs() - look.summed(truth.noise)).clamp_min(0)
    bad = known & ~(off <= share * size)
    if bool(bad.any()):  # what one unit in the last place of x changes is rounding's, but where autograd has no say
        bad = bad & (loose | ~(off <= share * size + ROUNDINGS * look.summed(look.question.rounding())))
    if not bool(bad.any()):
        return ""
    worst = float((off / size.clamp_min(torch.finfo(size.dtype).tiny))[bad].max())
    if not worst < torch.inf:
        return f"gives no finite number where f is smooth: {_EDGES}"
    return f"is off by {worst:.2g} of the sum of |{'H' if look.question.order == 2 else 'J'}_ii|"


def _is_near(found: float, expected: float, size: float, tolerance: float, noise: float = 0.0) -> bool:
    return abs(found - expected) <= tolerance * (size + abs(expected)) + noise + LEAST_SLOPE


def _slope(
    total: Callable[[Tensor], Tensor],
    leaves: Sequence[Tensor],
    directions: Sequence[Tensor],
    leaf: Tensor,
    is_steady: bool,
) -> Slope:
    """The derivative of the total along directions of the leaves by differences; with `is_steady` at two steps."""

    def value(s: float) -> Tensor:
        with _moved(leaves, directions, s):
            return total(leaf.detach())

    try:
        with torch.no_grad():
            slope, is_smooth, noise = (steadily if is_steady else along_line)(value, 1, leaf.dtype)
    except REFUSALS:
        return Slope(0.0, False, 0.0)
    return Slope(float(slope), bool(is_smooth), float(noise))


def _own_slope(
    total: Callable[[Tensor], Tensor],
    leaves: Sequence[Tensor],
    directions: Sequence[Tensor],
    leaf: Tensor,
    truth: Truth,
) -> float | None:
    """The same by autograd; None where that cannot differentiate f so often."""
    if bool(truth.by_differences.any()):
        return None
    try:
        return _dot(_gradients(total(leaf), leaves), directions)
    except REFUSALS:
        return None


def _direction(tensor: Tensor, number: int) -> Tensor:
    """A random direction of a leaf, of its own size."""
    generator = torch.Generator().manual_seed(number)
    noise = torch.randn(tensor.shape, generator=generator, dtype=torch.float64).to(tensor)
    size = float(tensor.detach().square().mean().sqrt()) if tensor.numel() else 0.0
    return noise * (min(size, 1.0) or 1.0)


def _gradients(total: Tensor, leaves: Sequence[Tensor]) -> list[Tensor]:
    if not total.requires_grad:
        return [torch.zeros_like(leaf) for leaf in leaves]
    # What f holds may have a graph of the caller's behind it.
    found = torch.autograd.grad(total, leaves, allow_unused=True, retain_graph=True)
    return [torch.zeros_like(leaf) if g is None else g for g, leaf in zip(found, leaves, strict=True)]


def _dot(gradients: Sequence[Tensor], directions: Sequence[Tensor]) -> float:
    return float(sum((g.double() * d.double()).sum() for g, d in zip(gradients, directions, strict=True)))


@contextmanager
def _moved(leaves: Sequence[Tensor], directions: Sequence[Tensor], s: float) -> Iterator[None]:
    """The leaves moved along the directions, and back to the bit.

    By `.data`, so that no graph of the caller's takes it for a write, and nothing is left of it in any case.
    """
    before = [leaf.data.clone() for leaf in leaves]
    try:
        for leaf, direction in zip(leaves, directions, strict=True):
            leaf.data.add_(direction, alpha=s)
        yield
    finally:
        for leaf, value in zip(leaves, before, strict=True):
            leaf.data.copy_(value)
