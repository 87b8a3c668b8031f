"""Collapsed Taylor mode: value, tangents and Laplacian of a scalar in one pass through its operations."""

from jacstrat.taylor.scalar import Checkpoint, Scalar, Tile
from jacstrat.trace.record import Untraceable

__all__ = ["Checkpoint", "Scalar", "Tile", "Untraceable"]
