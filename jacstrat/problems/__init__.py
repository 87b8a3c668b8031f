"""What to differentiate: functions with answers derived by hand, in one table."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from jacstrat.problems.base import Instance, Problem
from jacstrat.problems.bodies import BODIES
from jacstrat.problems.fields import FIELDS
from jacstrat.problems.networks import NETWORKS
from jacstrat.problems.reference import Reference
from jacstrat.problems.scalars import SCALARS
from jacstrat.problems.seed import SEED
from jacstrat.problems.spectra import SPECTRA

PROBLEMS: Mapping[str, Problem] = MappingProxyType(
    {problem.name: problem for problem in (*SEED, *FIELDS, *SCALARS, *BODIES, *NETWORKS, *SPECTRA)}
)

__all__ = ["PROBLEMS", "Instance", "Problem", "Reference"]
