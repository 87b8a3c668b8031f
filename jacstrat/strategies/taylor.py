"""Collapsed Taylor mode: the Laplacian in one pass through the function's own operations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from jacstrat.strategies.base import Contraction, Function, Operator, Strategy
from jacstrat.taylor import Scalar, Untraceable


@dataclass(frozen=True)
class Taylor(Strategy):
    """Value, n tangents and their Laplacian through each operation of the function once."""

    name: ClassVar[str] = "taylor"
    cost: ClassVar[str] = "n + 2 evaluations in one pass"
    exact_when: ClassVar[str] = "always"
    compress: bool = True

    def refuse(self, operator: Operator) -> str | None:
        return None if operator == "laplacian" else "a field has no second derivatives to collapse; use jvp"

    def build(self, operator: Operator, f: Function, x: Tensor, generator: torch.Generator | None) -> Contraction:
        scalar = Scalar(f)
        tape = scalar.tape(x)
        reason = f"n JVPs of the gradient, as it cannot be traced: {tape}" if isinstance(tape, Untraceable) else ""
        return Contraction(lambda x: scalar.laplacian(x, self.compress), reason=reason)
