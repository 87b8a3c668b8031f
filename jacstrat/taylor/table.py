"""One table of rules, by operation; what has none is served by `fallback.ANY`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from jacstrat.taylor.linear import LINEAR
from jacstrat.taylor.matrices import MATRICES
from jacstrat.taylor.normalised import NORMALISED
from jacstrat.taylor.pointwise import POINTWISE
from jacstrat.taylor.prod import PROD
from jacstrat.taylor.products import PRODUCTS
from jacstrat.taylor.rule import Rule
from jacstrat.taylor.written import WRITTEN

TAYLOR_RULES: Mapping[Any, Rule] = MappingProxyType(
    {**POINTWISE, **LINEAR, **PRODUCTS, **MATRICES, **NORMALISED, **PROD, **WRITTEN}
)
