"""Where the time of a sweep goes by phase, what a case takes above its sampling, what a sweep is planned for."""

from __future__ import annotations

import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import torch

from jacstrat.harness.plan.costs import estimate
from jacstrat.harness.plan.planning import plan
from jacstrat.harness.plan.sweep import Sweep, load_sweep
from jacstrat.harness.run import Options, run
from jacstrat.measure.environment import snapshot
from jacstrat.records import SAMPLES, read_records

from .figure import Figure
from .outside import Silent

ROOT = Path(__file__).parents[2]
# Of the first run on a card, whose cases took 2.5 s each.
SWEEP = ROOT / "results" / "h100" / "sweep.toml"
ABOVE_S = 0.7
# Seconds that the sweeps of a card may take on an H100, by name.
PLANNED_S: Mapping[str, float] = {"gpu": 1200, "gpu-quick": 180}
ASSUMED_BYTES = 80 * 2**30


def phases(quick: bool = False) -> list[Figure]:
    """The sweep of results/h100 on the accelerator of this machine, or at fewer points on its CPU.

    Args:
        quick: At one small size, sampled for a moment.
    """
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    device = "cpu" if accelerator is None else accelerator.type
    sweep = load_sweep(str(SWEEP)).override(device=(device,), threads=(torch.get_num_threads(),))
    if device == "cpu":
        # There are no graphs, and a point costs what it costs.
        grids = (grid for grid in sweep.grids if grid.workload != ("replay",))
        sweep = replace(sweep, grids=tuple(replace(grid, batch=(16,)) for grid in grids))
    if quick:
        sweep = sweep.override(n=(8,), sample_s=0.01)
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "run"
        begin = time.perf_counter()
        run(sweep, directory, Silent(), Options(), lambda: snapshot().to_json())
        wall_s = time.perf_counter() - begin
        cases = len(read_records(directory))
        return [judge(wall_s, cases, spent((directory / SAMPLES).read_text(encoding="utf-8").splitlines()), device)]


def spent(lines: Iterable[str]) -> Counter[str]:
    """Seconds by phase, from the lines of samples.jsonl."""
    total: Counter[str] = Counter()
    for line in lines:
        total.update(json.loads(line).get("phases_s", {}))
    return total


def judge(wall_s: float, cases: int, spent_s: Mapping[str, float], device: str) -> Figure:
    """Seconds a case, without warming up and sampling, with the starts of children and the writing of rows."""
    outside_s = wall_s - sum(spent_s.values())
    parts = [*spent_s.items(), ("outside of cells", outside_s)]
    note = f"{cases} cases on {device}: " + ", ".join(f"{phase} {seconds:.2g} s" for phase, seconds in parts)
    above_s = (wall_s - spent_s["sample"]) / cases
    return Figure("phases", "a case above its sampling", above_s, ABOVE_S, "ms", note=note)


def planned(quick: bool = False) -> list[Figure]:
    """What the sweeps of a card are predicted to take on an H100.

    Args:
        quick: Of `gpu-quick` alone, one case of which is predicted.
    """
    plans = []
    for name, most_s in PLANNED_S.items():
        sweep = load_sweep(name).override(threads=(1,))
        if quick and name == "gpu":
            continue
        seconds, cases = predicted(sweep if not quick else sweep.override(problems=("tanh_field",), n=(8,)))
        what = f"the sweep {name} on an H100, as planned"
        plans.append(Figure("planned", what, seconds, most_s, "s", note=f"{cases} cases"))
    return plans


def predicted(sweep: Sweep) -> tuple[float, int]:
    """Seconds and cases of a sweep on one worker with the memory of an H100."""
    forecasts = list(plan(sweep, ASSUMED_BYTES))
    return estimate(sweep, forecasts, workers=1).seconds, len(forecasts)
