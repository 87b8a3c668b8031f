"""Collapsed Taylor mode: value, tangents and Laplacian of a scalar in one pass through its operations."""

from jacstrat.tape.record import Untraceable
from jacstrat.taylor.scalar import Checkpoint, Scalar, Tile

__all__ = ["Checkpoint", "Scalar", "Tile", "Untraceable"]
