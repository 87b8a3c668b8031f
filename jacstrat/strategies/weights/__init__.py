"""tr(A J) and tr(A H) as plain operators."""

from jacstrat.strategies.weights.weighing import weighing

__all__ = ["weighing"]
