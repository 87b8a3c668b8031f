"""The command line of the checks."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from .figure import Figure, table

if TYPE_CHECKING:
    from jacstrat.measure.environment import Environment

EXIT_MISSED = 1
QUICK = "This was --quick: it shows that the script works, and its figures nothing."


def known(quick: bool) -> list[Figure]:
    from jacstrat.measure.sampling import Settings

    from .known import known

    return known(Settings(limit_s=0.2) if quick else Settings())


def aa(quick: bool) -> list[Figure]:
    from jacstrat.harness.plan.sweep import Sweep
    from jacstrat.measure.sampling import Settings

    from .aa import aa

    settings = Settings(limit_s=Sweep(()).sample_s)
    return aa(Settings(limit_s=0.02, warmup_s=0.01), most=3) if quick else aa(settings)


def isolation(quick: bool) -> list[Figure]:
    from .children import children
    from .outside import outside

    # The sweep first: the start of the fork server is part of its time, as of every run's.
    if quick:
        return [*outside(sizes=(2,), sample_s=0.01), *children(3)]
    return [*outside(), *children()]


def kill(quick: bool) -> list[Figure]:
    from .kill import kill

    return kill(2) if quick else kill()


def kills(quick: bool) -> list[Figure]:
    from .kill import kills

    return kills(4) if quick else kills()


def hostile(quick: bool) -> list[Figure]:
    from .hostile import hostile

    return hostile(("huge_message", "kills_the_server", "leaves_a_command")) if quick else hostile()


def places(quick: bool) -> list[Figure]:
    from .places import PLACES
    from .trials import places

    return places(PLACES[::12], ("resume", "compare")) if quick else places()


def dask(quick: bool) -> list[Figure]:
    from .clusters import dask

    return dask(("killed_from_outside",)) if quick else dask()


def kills_rev(quick: bool) -> list[Figure]:
    from .kill_rev import kills_rev

    return kills_rev(2) if quick else kills_rev()


def phases(quick: bool) -> list[Figure]:
    from .phases import phases

    return phases(quick)


def planned(quick: bool) -> list[Figure]:
    from .phases import planned

    return planned(quick)


CHECKS: Mapping[str, Callable[[bool], list[Figure]]] = MappingProxyType(
    {
        "known": known,
        "aa": aa,
        "isolation": isolation,
        "kill": kill,
        "kills": kills,
        "hostile": hostile,
        "places": places,
        "dask": dask,
        "kills_rev": kills_rev,
        "phases": phases,
        "planned": planned,
    }
)


def main(
    arguments: Sequence[str] | None = None,
    checks: Mapping[str, Callable[[bool], list[Figure]]] | None = None,
    description: str = "Measure the harness itself.",
) -> None:
    """Run the checks asked for, print the table; exit code 0 where every target was met, else 1."""
    checks = CHECKS if checks is None else checks
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("check", nargs="?", default="all", choices=[*checks, "all"])
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="write the figures there, too")
    parser.add_argument("--quick", action="store_true", help="a little of everything, to try the script")
    options = parser.parse_args(arguments)

    from jacstrat.measure.environment import snapshot

    # Before the checks, since the load at the start is somebody else's work.
    environment = snapshot()
    figures = []
    for name in checks if options.check == "all" else [options.check]:
        print(f"{name} ...", file=sys.stderr, flush=True)
        figures += checks[name](options.quick)
    print(f"{QUICK}\n" if options.quick else "", end="")
    print(f"{essentials(environment)}\n\n{table(figures)}", end="")
    if options.out:
        content = {
            "quick": options.quick,
            "environment": environment.at_end().to_json(),
            "figures": [figure.to_json() for figure in figures],
        }
        options.out.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    sys.exit(0 if all(figure.met for figure in figures) else EXIT_MISSED)


def essentials(environment: Environment) -> str:
    """The machine and its software on one line, and what makes figures from them doubtful, a line each."""
    from jacstrat.measure.environment import warnings

    hardware, torch, start = environment.hardware, environment.torch, environment.start
    memory = f"{hardware.memory_bytes / 2**30:.0f} GiB" if hardware.memory_bytes else None
    facts = (
        hardware.cpu_model,
        hardware.usable_cores and f"{hardware.usable_cores:g} usable cores",
        memory,
        hardware.system,
        f"Python {environment.python}",
        f"torch {torch.version} with {torch.threads} threads",
        start.load.load_1min is not None and f"load {start.load.load_1min:.2f}",
        environment.checkout and f"commit {environment.checkout.commit[:12]}",
        start.utc,
    )
    return "\n".join(
        [", ".join(str(fact) for fact in facts if fact), *(f"Warning: {w}" for w in warnings(environment))]
    )
