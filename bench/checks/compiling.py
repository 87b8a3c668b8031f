"""Prepare one strategy on one network and end: what it compiles stays in caches. Run by `warm.py`.

python -m checks.compiling CASE
"""

from __future__ import annotations

import sys

from jacstrat.core.case import Case
from jacstrat.harness.cell.surroundings import surroundings
from jacstrat.strategies import parse_strategy

from . import cells


def network_of(case: Case) -> cells.CellNetwork:
    """The network that a case is of.

    Raises:
        LookupError: There is none.
    """
    for one in (one for table in cells.tables() for one in table):
        if (one.problem.name, one.n, one.batch, one.operator) == (case.problem, case.n, case.batch, case.operator):
            return one
    raise LookupError(f"no network is that of {case.key}")


def prepare(key: str) -> None:
    """Prepare, as the harness does in the cell of that case, and call once."""
    case = Case.parse(key)
    if case is None:
        raise LookupError(f"{key} is the key of no case")
    network = network_of(case)
    with surroundings(network.cell(case.dtype, (case.strategy,), case.device)):
        instance = network.instance(case.dtype, case.device)
        prepared = parse_strategy(case.strategy).prepare(case.operator, instance.f, instance.x)
        prepared(instance.x)


if __name__ == "__main__":
    prepare(*sys.argv[1:])
