"""tr(A J) and tr(A H) as plain operators."""

from jacstrat.strategies.weights.weighing import is_differentiated, weighing

__all__ = ["is_differentiated", "weighing"]
