"""What plain autograd says of v^T J v, and where differences of f say otherwise, or say it in its place."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from jacstrat.core.operator import Operator
from jacstrat.strategies.cuts import has_cuts
from jacstrat.strategies.differences import STEPS, Difference, along_line, precision, steadily
from jacstrat.strategies.products import reverse, reverse_gradient
from jacstrat.trace.arguments import Function

# The tolerance of what differences say, as a share of the terms.
TOLERANCE = {torch.float64: 1e-5, torch.float32: 3e-2}
# Units in the last place of numbers about 1 that rounding may leave where all terms are 0, as those of a dead relu.
ROUNDINGS = 64
# How often the last places of x are changed, to see whether f is nothing else.
MOVES = 4
# Of the terms: what changes by more is at an edge, from which autograd itself jumps.
MOST_ROUNDING = 0.01
# By how much of itself a jump may differ from one place beside an edge to the next.
SAME_JUMP = 1e-3
# How far from an edge points are moved, by the power of eps, as a share of their coordinates and of their mean size: so
# near that a rule which divides by what is all but 0 is wrong there, too.
BESIDE = 0.9
# Pairs of directions in which the forms are to be quadratic where differences are to win over autograd.
PAIRS = 3
# Terms of a sum that are looked at each by itself.
PARTS = 8
# What autograd raises where it cannot differentiate an operation (so often).
REFUSALS = (RuntimeError, NotImplementedError)


class Truth(NamedTuple):
    """Quadratic forms v^T J v of K probes, each field (K, ...) with the axes of the points but the last.

    Fields:
        forms: The numbers.
        is_known: Where they are to be believed.
        is_nan: Where autograd has no finite number though f has one, and f is not smooth.
        by_differences: Where differences of f give the number, as autograd has none, or a wrong one.
        noise: What these may be off by.
        is_steady: Whether they need a smaller step than most do, as beside a kink.
    """

    forms: Tensor
    is_known: Tensor
    is_nan: Tensor
    by_differences: Tensor
    noise: Tensor
    is_steady: bool = False

    @property
    def size(self) -> Tensor:
        """The size of the terms at each point."""
        return _size(self.forms)


@dataclass(frozen=True, eq=False)
class Question:
    """Forms v^T J v of f's Jacobian, or of its Hessian where the operator is of second order, at some points.

    Fields:
        operator: Plain; its field is what is differentiated.
        f: Row-wise at these points.
        points: (B, n) or (n,).
        V: Probes, (K, n); a unit vector picks an entry of the diagonal.
        terms: Of which f is the sum, (..., n), where it is one of terms that may cancel; None where it is none.
    """

    operator: Operator
    f: Function
    points: Tensor
    V: Tensor
    terms: Function | None = None

    @property
    def order(self) -> int:
        """Of the derivatives of f."""
        return self.operator.order

    def by_autograd(self, points: Tensor, V: Tensor | None = None) -> Tensor:
        """The forms by reverse mode, a loop of torch.autograd.grad; over reverse mode for a Hessian.

        Cost: K VJPs for all points.
        """
        apply = reverse(reverse_gradient(self.f) if self.order == 2 else self.f, points)
        forms = [_form(v, k, apply(v)) for v, k in (self._probes if V is None else _probes(V))]
        return torch.stack(forms).to(points.dtype)

    @cached_property
    def _probes(self) -> list[tuple[Tensor, int | None]]:
        return _probes(self.V)

    def by_differences(self, points: Tensor, V: Tensor | None = None, is_steady: bool = False) -> Difference:
        """The forms by differences of f; with `is_steady` by those at two steps. Cost: 7 or 14 K evaluations of f."""
        differ = steadily if is_steady else along_line
        forms = []
        for v in self.V if V is None else V:

            def along(s: float, v: Tensor = v) -> Tensor:
                y = self.f(points + s * v)
                return y if self.order == 2 else (y * v).sum(-1)

            forms.append(differ(along, self.order, points.dtype))
        value, is_smooth, noise = map(torch.stack, zip(*forms, strict=True))
        return Difference(value.to(points.dtype), is_smooth, noise.to(points.dtype))

    def answer(self) -> Truth:
        """What is right. Cost: that of autograd, and one form by differences; where that is at odds, all of them."""
        with torch.no_grad():
            try:
                forms: Tensor | None = self.by_autograd(self.points)
            except REFUSALS:
                forms = None
            nothing = torch.zeros(len(self.V), *self.points.shape[:-1], dtype=torch.bool, device=self.points.device)
            if precision(self.points) not in STEPS:
                unknown = nothing.to(self.points.dtype) if forms is None else forms
                return Truth(unknown, nothing if forms is None else forms.isfinite(), nothing, nothing, 0 * unknown)
            if forms is not None and bool(forms.isfinite().all()) and not self._is_contradicted(forms):
                return Truth(forms, ~nothing, nothing, nothing, torch.zeros_like(forms))
            differences, is_smooth, noise = self.by_differences(self.points, is_steady=True)
            if forms is None:
                is_steady = not self._is_near_by_whole_steps(differences, is_smooth)
                return Truth(differences, is_smooth, nothing, is_smooth, noise, is_steady)
            is_finite = forms.isfinite()
            allowed = TOLERANCE[forms.dtype] * _size(differences) + noise + _rounding(forms.dtype)
            off = (forms - differences).abs() > allowed
            is_wrong = bool((is_smooth & is_finite & off).any()) and not has_cuts(self.f, self.points)
            is_wrong = is_wrong and bool((is_smooth & is_finite & off & self._is_differentiable()).any())
            is_wrong = is_wrong and self._is_wrong_beside()
            # Where it is wrong at one place it is right at another by chance, and not with its gradient.
            is_finite = is_finite & (not is_wrong)
            taken = is_smooth & ~is_finite
            y = self.f(self.points)
            is_inside = y.isfinite() if self.order == 2 else y.isfinite().all(-1)
            is_nan = ~forms.isfinite() & ~taken & is_inside
            forms = torch.where(taken, differences, forms)
            is_steady = bool(taken.any()) and not self._is_near_by_whole_steps(differences, taken)
            return Truth(forms, is_finite | taken, is_nan, taken, torch.where(taken, noise, 0), is_steady)

    def total(self, points: Tensor, truth: Truth, weights: Tensor) -> Tensor:
        """sum of weights * forms at points like these, each by autograd or by differences as in the truth."""
        taken, forms = truth.by_differences & truth.is_known, None
        if not bool(taken.all()):
            forms = self.by_autograd(points)
        if bool(taken.any()):
            differences = self.by_differences(points, is_steady=truth.is_steady).value
            forms = differences if forms is None else torch.where(taken, differences, forms)
        assert forms is not None
        return (torch.where(truth.is_known, forms, 0) * weights).sum()

    def rounding(self) -> Tensor:
        """By how much the forms change when each coordinate moves by one unit in the last place; 0 where they jump.

        What changes by the same when it moves by three is at an edge: rounding is another one each time, and what it is
        multiplied by three times as much.
        """
        signs = torch.ones_like(self.points)
        signs[..., ::2] = -1
        try:
            with torch.no_grad():
                here, moved, changes = self.by_autograd(self.points), self.points, []
                for _ in range(3):
                    moved = torch.nextafter(moved, signs * torch.inf)
                    changes.append((self.by_autograd(moved) - here).abs())
        except REFUSALS:
            return self.points.new_zeros(len(self.V), *self.points.shape[:-1])
        first, _, third = changes
        is_jump = (first - third).abs() <= SAME_JUMP * first
        return torch.where(first.isfinite() & ~is_jump, first, 0)

    def least(self, size: Tensor) -> Tensor:
        """What rounding may leave of terms that cancel, given the size of the terms at each point.

        So much of those of other points, or of 1 where f is 0, as behind a dead relu, or nothing but rounding, as the
        mean of what is normalised: then it changes as a whole with the last places of x.
        """
        if not bool((size <= _rounding(size.dtype) * size.max().clamp_min(1)).any()):
            return torch.zeros_like(size)
        generator = torch.Generator().manual_seed(self.V.shape[-1])
        eps = torch.finfo(precision(self.points)).eps
        with torch.no_grad():
            y = self.f(self.points)
            change = torch.zeros_like(y.abs())
            for _ in range(MOVES):
                noise = torch.randn(self.points.shape, generator=generator, dtype=torch.float64, device="cpu").to(
                    self.points
                )
                change = torch.maximum(change, (self.f(self.points * (1 + 2 * eps * noise)) - y).abs())
        size_of_f, change = (y.abs(), change) if self.order == 2 else (y.abs().amax(-1), change.amax(-1))
        is_dead = size_of_f <= ROUNDINGS * change
        least = _rounding(size.dtype) * torch.where(is_dead, 1.0, size.max()).to(size)
        return least * (size <= least)

    def of_entries(self, size: Tensor) -> Tensor:
        """What rounding may leave of a diagonal that cancels beside the rest of its matrix, given its size.

        0 where that is more than rounding.

        As of x_1 x_2 ... x_n, whose Hessian has zeros there and nowhere else; and of what is a sum of terms as of each,
        as of the Laplacian of what is harmonic. Cost: two VJPs; of a sum two for up to PARTS of its terms.
        """
        sums = [self.f]
        if (terms := self.terms) is not None:
            sums = [lambda x, k=k: terms(x)[..., k] for k in range(0, self.V.shape[-1], -(-self.V.shape[-1] // PARTS))]
        largest = torch.zeros(self.points.shape[:-1], dtype=self.points.dtype, device=self.points.device)
        generator = torch.Generator().manual_seed(self.V.shape[-1])
        signs = torch.randn(2, self.V.shape[-1], generator=generator, dtype=torch.float64, device="cpu").to(self.points)
        # Of a function that changes over lengths of about 1 or more.
        length = self.points.abs().amax(-1).clamp_min(1)
        with torch.no_grad(), suppress(*REFUSALS):
            for one in sums:
                # A term of a sum is itself a derivative, and what is added to f is none of its terms.
                numbers = [] if terms is None else [one(self.points).abs() / length**self.order]
                apply = reverse(reverse_gradient(one) if self.order == 2 else one, self.points)
                numbers += [apply(v).abs().amax(-1) for v in signs]
                largest = torch.maximum(largest, torch.stack(numbers).to(largest).nan_to_num(0, 0, 0).amax(0))
        least = _rounding(largest.dtype) * largest
        return least * (size <= least)

    def _is_near_by_whole_steps(self, differences: Tensor, taken: Tensor) -> bool:
        """Whether differences that were taken by smaller steps are those of whole ones, which round less."""
        whole = self.by_differences(self.points)
        off = (whole.value - differences).abs() > TOLERANCE[differences.dtype] * _size(differences) + whole.noise
        return not bool((off & taken).any())

    def _is_wrong_beside(self) -> bool:
        """Whether differences contradict autograd beside the points, too.

        Else the points are at an edge, where torch's derivative is a convention, as that of abs at 0, though f is
        smooth, as abs(x)^2 is.
        """
        generator = torch.Generator().manual_seed(self.V.shape[-1])
        noise = torch.randn(self.points.shape, generator=generator, dtype=torch.float64, device="cpu").to(self.points)
        step = torch.finfo(precision(self.points)).eps ** BESIDE
        beside = self.points + step * (self.points.abs() + self.points.abs().mean()) * noise
        forms, differences = self.by_autograd(beside), self.by_differences(beside, is_steady=True)
        allowed = TOLERANCE[forms.dtype] * _size(differences.value) + differences.noise + _rounding(forms.dtype)
        off = (forms - differences.value).abs() > allowed
        return bool((off & differences.is_smooth & forms.isfinite()).any())

    def _is_differentiable(self) -> Tensor:
        """At which points the forms are quadratic in v, by the parallelogram law for some pairs of directions.

        f may be smooth along every line through a point and have no derivative there, as a median has none where three
        entries tie: it moves by the median of what they move by. Cost: 56 evaluations of f a pair.
        """
        generator = torch.Generator().manual_seed(self.V.shape[-1])
        holds = torch.ones(self.points.shape[:-1], dtype=torch.bool, device=self.points.device)
        for _ in range(PAIRS):
            v, w = torch.randn(2, self.V.shape[-1], generator=generator, dtype=torch.float64, device="cpu").to(
                self.points
            )
            v, w = v / (2 * v.norm()), w / (2 * w.norm())
            forms, is_smooth, noise = self.by_differences(self.points, torch.stack((v, w, v + w, v - w)), True)
            off = (forms[2] + forms[3] - 2 * forms[0] - 2 * forms[1]).abs()
            allowed = TOLERANCE[forms.dtype] * _size(forms) + 2 * noise.sum(0)
            holds &= is_smooth.all(0) & (off <= allowed)
        return holds

    def _is_contradicted(self, forms: Tensor) -> bool:
        """Whether differences along one random direction tell that a rule of torch is wrong."""
        generator = torch.Generator().manual_seed(self.V.shape[-1])
        v = torch.randn(1, self.V.shape[-1], generator=generator, dtype=torch.float64, device="cpu")
        v = (v / v.norm()).to(self.points)
        form, difference = self.by_autograd(self.points, v), self.by_differences(self.points, v)
        size = torch.maximum(_size(forms), difference.value.abs()[0])
        allowed = TOLERANCE[forms.dtype] * size + difference.noise[0] + _rounding(forms.dtype)
        off = (form - difference.value).abs()[0] > allowed
        return bool((off & difference.is_smooth[0]).any()) and not has_cuts(self.f, self.points)


def _rounding(dtype: torch.dtype) -> float:
    """What autograd may leave where differences see 0, and no noise, since f is 0 all around."""
    return min(ROUNDINGS * torch.finfo(dtype).eps, MOST_ROUNDING)


def _probes(V: Tensor) -> list[tuple[Tensor, int | None]]:
    """Each probe with the coordinate that it picks; None of one that is no unit vector. They are asked for often."""
    counts, places = (V != 0).sum(-1).tolist(), V.abs().argmax(-1).tolist()
    return [(v, place if count == 1 else None) for v, place, count in zip(V.unbind(), places, counts, strict=True)]


def _form(v: Tensor, place: int | None, product: Tensor) -> Tensor:
    """v . product; read off rather than multiplied out for a unit vector, as 0 * inf elsewhere would spoil it."""
    return (v * product).sum(-1) if place is None else product[..., place]


def _size(forms: Tensor) -> Tensor:
    return torch.where(forms.isfinite(), forms, 0).abs().sum(0)
