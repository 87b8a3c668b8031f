"""Collapsed Taylor mode: value, tangents and Laplacian of a scalar in one pass through its operations."""

from jacstrat.taylor.scalar import Scalar, Tile
from jacstrat.taylor.trace import Untraceable

__all__ = ["Scalar", "Tile", "Untraceable"]
