"""One look at a claim: at which points, what plain autograd is asked there, and what the claim says."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from jacstrat.strategies.sample import Sample
from jacstrat.strategies.truth import Question
from jacstrat.trace.arguments import Function
from jacstrat.trace.tracers import has_modes, is_transformed


class Claim(Protocol):
    """What is held against the witness, as a `Contraction` has it."""

    @property
    def evaluate(self) -> Function: ...
    @property
    def entries(self) -> Function | None: ...
    @property
    def along(self) -> Function | None: ...
    @property
    def is_traced(self) -> bool: ...


def has_numbers(x: Tensor) -> bool:
    """Whether values of x can be looked at: no meta or fake tensor, no tracer, no transform around."""
    return not (x.is_meta or torch.compiler.is_compiling() or is_transformed() or has_modes())


class ClaimLook(NamedTuple):
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
