"""What to differentiate: functions with answers derived by hand, and those of installed packages, in one table."""

from __future__ import annotations

from collections.abc import Mapping

from jacstrat.errors import UsageError
from jacstrat.plugins import Table
from jacstrat.problems.base import Instance, Problem
from jacstrat.problems.bodies import BODIES
from jacstrat.problems.fields import FIELDS
from jacstrat.problems.networks import NETWORKS
from jacstrat.problems.own import as_problem, problem
from jacstrat.problems.reference import Reference
from jacstrat.problems.scalars import SCALARS
from jacstrat.problems.seed import SEED
from jacstrat.problems.spectra import SPECTRA

__all__ = ["PROBLEMS", "Instance", "Problem", "Reference", "problem"]


def _accepted(name: str, found: object) -> Problem:
    """The entry of the table that a package registers."""
    problem = as_problem(found, name, origin=getattr(found, "__module__", ""))
    if problem.name != name:
        raise UsageError(f"the problem calls itself {problem.name!r}; it must be registered under that name")
    return problem


PROBLEMS: Mapping[str, Problem] = Table(
    {problem.name: problem for problem in (*SEED, *FIELDS, *SCALARS, *BODIES, *NETWORKS, *SPECTRA)},
    "jacstrat.problems",
    _accepted,
)
