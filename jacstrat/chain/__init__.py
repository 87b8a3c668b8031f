"""Divergence and Jacobian diagonal of a chain of constant linear maps and pointwise factors, in a good order."""

from jacstrat.chain.field import Field

__all__ = ["Field"]
