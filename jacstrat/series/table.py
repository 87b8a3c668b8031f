"""One table of rules for what has derivatives of every order; what is linear has its rule in Taylor mode's table."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from jacstrat.series.matrices import MATRICES
from jacstrat.series.pointwise import POINTWISE
from jacstrat.series.products import PRODUCTS
from jacstrat.series.rule import SeriesRule

SERIES_RULES: Mapping[Any, SeriesRule] = MappingProxyType({**POINTWISE, **PRODUCTS, **MATRICES})
