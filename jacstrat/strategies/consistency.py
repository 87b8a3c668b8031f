"""Whether derivatives along lines are right: held against nested reverse mode, and against differences of each other.

The derivative of order k is that of order k - 1 differentiated once more along the line: differences say whether it is,
order by order from the function itself on, and need no rule for that. They decide where nested reverse mode says
otherwise, or would agree since one rule of torch is wrong in both: its layer normalisation is, from the third order on.
Where the function has a kink they say nothing, and where it cuts derivatives off (`detach`, a backward of its own)
autograd is what is meant.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from jacstrat.core.errors import UnsupportedError, message_of
from jacstrat.series import nested
from jacstrat.strategies.cuts import ends, has_cuts
from jacstrat.strategies.differences import STEPS, along_line, precision, steadily
from jacstrat.strategies.gradients import CLOSER, POWER_OF_EPS
from jacstrat.strategies.look import has_numbers
from jacstrat.strategies.sample import Sample, samples
from jacstrat.strategies.slope import LeafLine, Slope
from jacstrat.strategies.truth import REFUSALS, TOLERANCE
from jacstrat.trace.arguments import Function
from jacstrat.trace.rows import rows_apart

# From points, directions (D, n) or (D, B, n) and an order to (D, order + 1, B) or (D, order + 1, B, m).
DerivativeAlong = Callable[[Tensor, Tensor, int], Tensor]

# The highest order that is looked at: rules are recurrences, which go on as they begin.
HIGHEST = 4
# The same of nested reverse mode, whose graphs grow fast; beyond it differences speak alone.
NESTED = 3


def by_nesting(f: Function) -> DerivativeAlong:
    """Derivatives of f by nested reverse mode, one direction after the other."""

    def derivatives(x: Tensor, V: Tensor, order: int) -> Tensor:
        return torch.stack([nested(f, x, v.expand_as(x), order) for v in V])

    return derivatives


@dataclass(eq=False)
class Consistency:
    """What can be said of derivatives of f near x.

    Args:
        f: Row-wise.
        x: Points, (B, n) or (n,).
        V: Directions, (D, n) or (D, B, n). Each point is looked at along one of them with random numbers added.
        order: The highest that is asked for.

    Cost: eight calls of the claim, eight of nested reverse mode at up to 15 points; with gradients tracked about twice
    as many.
    """

    f: Function
    x: Tensor
    V: Tensor
    order: int

    def is_right(self, series: DerivativeAlong | None) -> bool:
        """Whether derivatives by a tape, where there is one, are right; else nested reverse mode is.

        Raises:
            UnsupportedError: Neither is.
        """
        if self.x.numel() == 0 or not has_numbers(self.x):
            return series is not None
        if self._is_random:  # two calls have nothing in common
            return False
        tape_error: Exception | None = None
        if series is not None:
            try:
                if all(self._is_served(series, sample) for sample in self._samples):
                    return True
            except (MemoryError, torch.OutOfMemoryError):
                raise
            except Exception as error:
                # A rule of the tape, or the derivative that a custom Function has, which may raise anything: nested
                # reverse mode serves then, and where it does not this is the cause. What f itself raises is raised
                # again below.
                tape_error = error
        by_nested = by_nesting(self.f)
        for sample in self._samples:
            is_bad, _ = self._by_differences(by_nested, sample, is_traced=False)
            if bool(is_bad.any()) and not has_cuts(self.f, sample.seen):
                order = int(is_bad.flatten(1).any(1).nonzero()[0]) + 1
                raise UnsupportedError(
                    f"nested reverse mode is not right for this function: its derivative of order {order} is not that "
                    f"of order {order - 1}, differentiated along the line"
                ) from tape_error
            if fault := self._gradient_fault(by_nested, sample, is_traced=False):
                raise UnsupportedError(
                    f"nested reverse mode is not right for this function: it {fault}"
                ) from tape_error
        return False

    @cached_property
    def _is_random(self) -> bool:
        with torch.no_grad():
            before = _random_state(self.x.device)
            self.f(self.x.detach())
            return not all(map(torch.equal, before, _random_state(self.x.device)))

    @cached_property
    def _is_apart(self) -> bool:
        return not rows_apart(self.f, self.x)

    @cached_property
    def _samples(self) -> tuple[Sample, ...]:
        drawn = samples(self.x)
        try:
            with torch.no_grad():
                self.f(drawn[-1].points)
        except Exception:  # f takes the real points and no others, as one that looks numbers up
            return (Sample(self.x.detach(), drawn[0].rows),)
        return drawn

    @cached_property
    def _lines(self) -> Tensor:
        """A unit vector for each point."""
        V = self.V.detach()
        if self.x.dim() == 1:
            v = V[0]
        else:
            rows = torch.arange(len(self.x), device=V.device)
            v = V[rows % len(V)] if V.dim() == 2 else V[rows % len(V), rows]
        generator = torch.Generator().manual_seed(self.x.shape[-1])
        noise = torch.randn(self.x.shape, generator=generator, dtype=torch.float64, device="cpu").to(self.x)
        v = _unit(torch.where(v.isfinite(), v, 0)) + _unit(noise)
        return _unit(v)

    def _claimed(
        self, claim: DerivativeAlong, sample: Sample, seen: Tensor, is_traced: bool, highest: int = HIGHEST
    ) -> Tensor:
        """(order + 1, ...) of a claim at points in place of those that are looked at; a tape is for all rows."""
        order = min(self.order, highest)
        if sample.rows is None:
            return claim(seen, self._lines.unsqueeze(0), order)[0]
        if is_traced or not self._is_apart:
            return sample.of(claim(sample.placed(seen), self._lines.unsqueeze(0), order)[0], 1)
        return claim(seen, self._lines[sample.rows].unsqueeze(0), order)[0]

    def _is_served(self, series: DerivativeAlong, sample: Sample) -> bool:
        """Whether the derivatives by a tape are right in a sample, and their gradient."""
        with torch.no_grad():
            claimed = self._claimed(series, sample, sample.seen, True)
            try:
                truth = self._claimed(by_nesting(self.f), sample, sample.seen, False, NESTED)
            except REFUSALS:
                truth = torch.full_like(claimed, torch.nan)
                truth[0] = self._values(sample, sample.seen)
            apart = torch.zeros_like(claimed, dtype=torch.bool)
            apart[: len(truth)] = ~self._is_near(claimed[: len(truth)], truth, sample)
        is_bad, is_said = self._by_differences(series, sample, is_traced=True)
        is_undecided = apart[1:] & ~is_said
        if bool(apart[0].any()):
            return False
        if bool(is_bad.any() | apart.any()) and has_cuts(self.f, sample.seen):
            if bool(apart.any()):
                return False
        elif bool((is_bad | is_undecided).any()):
            return False
        return not self._gradient_fault(series, sample, is_traced=True)

    def _is_near(self, claimed: Tensor, truth: Tensor, sample: Sample) -> Tensor:
        """Where two ways agree but for rounding: what one unit in the last place of x changes, and some of it."""
        eps = torch.finfo(precision(sample.seen)).eps
        rows = tuple(range(1, truth.dim()))
        finite = torch.where(truth.isfinite(), truth, 0).abs()
        size = torch.maximum(finite, finite.mean(rows, keepdim=True))
        return (
            ((claimed - truth).abs() <= eps**POWER_OF_EPS * size)
            | (claimed == truth)
            | (claimed.isnan() & truth.isnan())
        )

    def _values(self, sample: Sample, seen: Tensor) -> Tensor:
        if sample.rows is None or self._is_apart:
            return self.f(seen)
        return sample.of(self.f(sample.placed(seen)))

    def _by_differences(self, claim: DerivativeAlong, sample: Sample, is_traced: bool) -> tuple[Tensor, Tensor]:
        """Where derivatives 1, 2, ... of a claim are not those of the order before, and where that can be said."""
        seen, lines = sample.seen, self._lines if sample.rows is None else self._lines[sample.rows]
        with torch.no_grad():
            claimed = self._claimed(claim, sample, seen, is_traced)[1:]
            dtype = precision(seen)
            if dtype not in STEPS:
                return torch.zeros_like(claimed, dtype=torch.bool), torch.zeros_like(claimed, dtype=torch.bool)

            def before(s: float) -> Tensor:
                moved = seen + s * lines
                return torch.stack((self._values(sample, moved), *self._claimed(claim, sample, moved, is_traced)[1:-1]))

            for differ in (along_line, steadily):
                value, is_smooth, noise = differ(before, 1, dtype)
                value, noise = value.to(claimed.dtype), noise.to(claimed.dtype)
                allowed = TOLERANCE[dtype] * torch.maximum(claimed.abs(), value.abs()) + noise
                is_bad = is_smooth & claimed.isfinite() & ~((claimed - value).abs() <= allowed)
                # Behind a kink of one order the next ones are none that differences could see.
                is_said = (is_smooth & claimed.isfinite()).cummin(0).values
                is_bad = is_bad & is_said
                if not bool(is_bad.any()) and bool(is_said.all()):
                    break
        return is_bad, is_said

    def _gradient_fault(self, claim: DerivativeAlong, sample: Sample, is_traced: bool) -> str:
        """What is wrong with the gradient of a claim in what f holds and in x, along a random direction of them."""
        seen = sample.seen
        if not torch.is_grad_enabled() or precision(seen) not in STEPS:
            return ""
        leaf = seen.clone().requires_grad_() if self.x.requires_grad else seen
        ending = ends(lambda points: self._values(sample, points), leaf)
        line = LeafLine.through(leaf, ending.leaves)
        if ending.goes_beyond or not line.leaves:
            return ""
        with torch.no_grad():
            claimed = self._claimed(claim, sample, seen, is_traced, NESTED)
            size = torch.where(claimed.isfinite(), claimed, 0).abs().flatten(1).mean(1)
            weights = torch.linspace(1, 2, claimed.numel(), dtype=claimed.dtype, device=claimed.device).view_as(claimed)
            weights = weights / torch.where(size > 0, size, 1.0).view(-1, *(1,) * (claimed.dim() - 1))
            weights = torch.where(claimed.isfinite(), weights, 0)

        def total(points: Tensor) -> Tensor:
            numbers = self._claimed(claim, sample, points, is_traced, NESTED)
            return (torch.where(weights != 0, numbers, 0) * weights).sum()

        try:
            derivative, terms = line.by_autograd(total(leaf))
        except REFUSALS as error:
            return f"has no gradient: {message_of(error).split('. ')[0]}"
        slope = self._slope(line, total, derivative, terms)
        if slope is None:
            return ""
        if slope.is_known and not has_cuts(self.f, seen):
            return f"has a gradient of {derivative:.3g} where differences along the same line give {slope.value:.3g}"
        if not is_traced:
            return ""

        def total_by_nesting(points: Tensor) -> Tensor:
            numbers = self._claimed(by_nesting(self.f), sample, points, False, NESTED)
            return (torch.where(weights != 0, numbers, 0) * weights).sum()

        try:
            expected, _ = line.by_autograd(total_by_nesting(leaf))
        except REFUSALS:
            return "has a gradient where autograd has none"
        is_near = Slope(expected).is_near(derivative, terms, TOLERANCE[precision(seen)])
        return (
            ""
            if is_near or expected != expected
            else f"has a gradient of {derivative:.3g} for autograd's {expected:.3g}"
        )

    @staticmethod
    def _slope(line: LeafLine, total: Function, derivative: float, terms: float) -> Slope | None:
        """What differences say against a derivative along a line; None where they say the same."""
        tolerance = TOLERANCE[line.points.dtype]
        rough = line.roughly(total)
        if rough.is_known and rough.is_near(derivative, terms, tolerance):
            return None
        slope = line.by_differences(total)
        if not slope.is_known:  # a kink is near, as in a network of relu
            slope = line.by_differences(total, shrink=CLOSER)
        if slope.is_known and slope.is_near(derivative, terms, tolerance):
            return None
        for is_written in (False, True):
            slope = line.by_differences(total, is_steady=True, is_written=is_written)
            if slope.is_known and slope.is_near(derivative, terms, tolerance):
                return None
        return slope


def _unit(v: Tensor) -> Tensor:
    size = v.norm(dim=-1, keepdim=True)
    return v / torch.where(size > 0, size, 1.0)


def _random_state(device: torch.device) -> list[Tensor]:
    states = [torch.get_rng_state()]
    return [*states, torch.get_device_module(device).get_rng_state(device)] if device.type != "cpu" else states
