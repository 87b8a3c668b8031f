"""What to differentiate: functions with answers derived by hand, in one table, by family."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from jacstrat.problems.base import Instance, Problem, Reference
from jacstrat.problems.bodies import BODIES
from jacstrat.problems.fields import FIELDS
from jacstrat.problems.flows import FLOWS
from jacstrat.problems.networks import NETWORKS
from jacstrat.problems.particles import PARTICLES
from jacstrat.problems.pinns import PINNS
from jacstrat.problems.scalars import SCALARS
from jacstrat.problems.scores import SCORES
from jacstrat.problems.seed import SEED
from jacstrat.problems.stencils import STENCILS
from jacstrat.problems.wavefunctions import WAVEFUNCTIONS

# By name, which is that of the file here and of the page in docs/problems.
FAMILIES: Mapping[str, tuple[Problem, ...]] = MappingProxyType(
    {
        "seed": SEED,
        "fields": FIELDS,
        "stencils": STENCILS,
        "scalars": SCALARS,
        "bodies": BODIES,
        "particles": PARTICLES,
        "networks": NETWORKS,
        "pinns": PINNS,
        "flows": FLOWS,
        "scores": SCORES,
        "wavefunctions": WAVEFUNCTIONS,
    }
)

PROBLEMS: Mapping[str, Problem] = MappingProxyType(
    {problem.name: problem for family in FAMILIES.values() for problem in family}
)

__all__ = ["FAMILIES", "PROBLEMS", "Instance", "Problem", "Reference"]
