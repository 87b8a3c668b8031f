"""Univariate Taylor arithmetic: derivatives of every order along directions, in one pass through a function's tape."""

from jacstrat.series.engine import TapedLine
from jacstrat.series.line import nested

__all__ = ["TapedLine", "nested"]
