"""tr(A J) and tr(A H) as plain operators."""

from jacstrat.strategies.weights.constant import ConstantWeight
from jacstrat.strategies.weights.rows import RowWeight
from jacstrat.strategies.weights.weighing import is_differentiated, weighing

__all__ = ["ConstantWeight", "RowWeight", "is_differentiated", "weighing"]
