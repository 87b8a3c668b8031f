"""What to differentiate: functions with answers derived by hand, by family, and those of installed packages."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from jacstrat.core.errors import UsageError
from jacstrat.plugins import Registry
from jacstrat.problems.base import Instance, Problem
from jacstrat.problems.bodies import BODIES
from jacstrat.problems.equations import EQUATIONS
from jacstrat.problems.fields import FIELDS
from jacstrat.problems.flows import FLOWS
from jacstrat.problems.networks import NETWORKS
from jacstrat.problems.own import as_problem, problem
from jacstrat.problems.particles import PARTICLES
from jacstrat.problems.pinns import PINNS
from jacstrat.problems.reference import Reference
from jacstrat.problems.scalars import SCALARS
from jacstrat.problems.scores import SCORES
from jacstrat.problems.seed import SEED
from jacstrat.problems.spectra import SPECTRA
from jacstrat.problems.stencils import STENCILS
from jacstrat.problems.wavefunctions import WAVEFUNCTIONS

__all__ = ["FAMILIES", "PROBLEMS", "Instance", "Problem", "Reference", "problem"]

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
        "equations": EQUATIONS,
        "flows": FLOWS,
        "scores": SCORES,
        "wavefunctions": WAVEFUNCTIONS,
        "spectra": SPECTRA,
    }
)


def _accepted(name: str, entry: object) -> Problem:
    """The entry of the table that a package registers."""
    problem = as_problem(entry, name, origin=getattr(entry, "__module__", ""))
    if problem.name != name:
        raise UsageError(f"the problem calls itself {problem.name!r}; it must be registered under that name")
    return problem


PROBLEMS: Mapping[str, Problem] = Registry(
    {problem.name: problem for family in FAMILIES.values() for problem in family},
    "jacstrat.problems",
    _accepted,
)
"""The problems by name, those of installed packages among them: a read-only mapping."""
