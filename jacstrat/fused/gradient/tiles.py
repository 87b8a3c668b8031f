"""What of a network's gradient fits into one kernel, and in which tiles."""

from __future__ import annotations

from torch import Tensor

from jacstrat.fused import narrow
from jacstrat.fused.gradient.spec import GradientSpec
from jacstrat.fused.narrow import Tiles


def misfit(spec: GradientSpec) -> str:
    return ""


def tiles(spec: GradientSpec, points: int, directions: int, x: Tensor, most: int | None) -> Tiles:
    return narrow.tiles(spec.network, points, directions, x, most)
