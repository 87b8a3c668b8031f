"""Collapsed Taylor mode: the Laplacian in one pass through the function's own operations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from jacstrat.errors import UsageError
from jacstrat.strategies.base import Contraction, Function, Operator, Strategy, positive_or_all
from jacstrat.taylor import Scalar, Tile, Untraceable


@dataclass(frozen=True)
class Taylor(Strategy):
    """Value, n tangents and their Laplacian through each operation of the function once.

    The function is traced, at each shape of x once. `tile` points are done at a time; with `compress` n directions
    become as few as the tangents behind the first layers span.

    Source: Li et al. 2024, A computational framework for neural network-based variational Monte Carlo with forward
    Laplacian; Dangel et al. 2025, Collapsing Taylor mode automatic differentiation.
    """

    name: ClassVar[str] = "taylor"
    cost: ClassVar[str] = "n tangents in one pass"
    exact_when: ClassVar[str] = "always"
    tile: Tile = "auto"
    compress: bool = True

    def __post_init__(self) -> None:
        if self.tile != "auto":
            positive_or_all("tile", self.tile)
        if not isinstance(self.compress, bool):
            raise UsageError(f"compress must be true or false, got {self.compress!r}; leave it out for true")

    def refuse(self, operator: Operator) -> str | None:
        return None if operator == "laplacian" else "a field has no second derivatives to collapse; use jvp"

    def build(self, operator: Operator, f: Function, x: Tensor, generator: torch.Generator | None) -> Contraction:
        scalar = Scalar(f, self.compress, self.tile)
        tapes = [scalar.tape(part) for part in scalar.tiles(x)]
        failed = [tape for tape in tapes if isinstance(tape, Untraceable)]
        reason = f"n VJPs of the gradient, as f cannot be traced: {failed[0]}" if failed else ""
        return Contraction(scalar.laplacian, reason=reason)
