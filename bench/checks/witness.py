"""What it costs that strategies are held against a witness: a preparation, and a direct call that finds its trace."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from .figure import Figure

HERE = Path(__file__).resolve()
CHECKOUT = HERE.parents[2]
SIDE = HERE.parent / "sides" / "direct_side.py"
# Another checkout, whose direct calls these are compared with.
BASE = "JACSTRAT_BASE"
TURNS, ABOVE, FIRST_S = 5, 1.10, 0.15


def turns(quick: bool) -> tuple[list[dict], list[dict]]:
    """What children of this checkout and of the base say, in turns; none of a base where none is named."""
    base = os.environ.get(BASE)
    mine: list[dict] = []
    others: list[dict] = []
    for turn in range(1 if quick else TURNS):
        sides = [(mine, CHECKOUT)] + ([(others, Path(base))] if base else [])
        for times, checkout in sides if turn % 2 == 0 else reversed(sides):
            times.append(_child(checkout))
    return mine, others


def _child(checkout: Path) -> dict:
    environment = {**os.environ, "PYTHONPATH": str(checkout), "JACSTRAT_CACHE": "off", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(SIDE)],
        env=environment,
        cwd=checkout,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def first(quick: bool) -> list[Figure]:
    """Seconds of a preparation, the witness in it."""
    return first_of(*turns(quick))


def direct(quick: bool) -> list[Figure]:
    """Direct calls over those of the base."""
    return direct_of(*turns(quick))


def first_of(mine: list[dict], others: list[dict]) -> list[Figure]:
    """The figures of preparations: the median over the turns, with that of the base beside it."""
    figures = []
    for key in mine[0]:
        seconds = statistics.median(one[key]["prepare_s"] for one in mine)
        before = f"base {1e3 * statistics.median(one[key]['prepare_s'] for one in others):.3g} ms" if others else ""
        figures.append(Figure("first", f"preparation, {key}", seconds, FIRST_S, "ms", note=before))
    return figures


def direct_of(mine: list[dict], others: list[dict]) -> list[Figure]:
    """The figures of direct calls: the median over the turns of the ratio to the base, taken turn by turn."""
    figures = []
    for key in mine[0] if others else ():
        ratios = [a[key]["direct_s"] / b[key]["direct_s"] for a, b in zip(mine, others, strict=True)]
        typical_ms = 1e3 * statistics.median(one[key]["direct_s"] for one in mine)
        note = f"{typical_ms:.3g} ms; turns {min(ratios):.2f} to {max(ratios):.2f}"
        figures.append(Figure("direct", f"of the base, {key}", statistics.median(ratios), ABOVE, note=note))
    return figures


def both(quick: bool) -> list[Figure]:
    """Both of the above, from the same turns."""
    times = turns(quick)
    return [*first_of(*times), *direct_of(*times)]


CHECKS: Mapping[str, Callable[[bool], list[Figure]]] = MappingProxyType(
    {"first": first, "direct": direct, "both": both}
)
