"""Every case of the quick sweep under pytest-benchmark: `pytest bench`, `--benchmark-json`, `--benchmark-compare`.

Time is compared best by the harness itself, which samples strategies side by side; counts and errors are the same here.
"""

from __future__ import annotations

import random
from dataclasses import asdict

import pytest
import torch

from jacstrat.core.case import Case
from jacstrat.core.errors import UnsupportedError
from jacstrat.harness.cell.prepared_case import prepare_case
from jacstrat.harness.cell.setup import set_up
from jacstrat.harness.cell.surroundings import surroundings
from jacstrat.harness.cell.verdicts import verdict
from jacstrat.harness.plan.cases import Cell
from jacstrat.harness.plan.devices import missing_device
from jacstrat.harness.plan.sweep import load_sweep
from jacstrat.measure.sampling import Settings, sample
from jacstrat.measure.torch_device import clock_for
from jacstrat.statistics import ratio

CASES = [case for cell in load_sweep("quick").cells() for case in cell.cases]
# Enough rounds for an interval of the ratio, short beside pytest-benchmark's own.
SETTINGS = Settings(limit_s=0.05, warmup_s=0.02)


@pytest.mark.parametrize("case", CASES, ids=[case.key for case in CASES])
def test_case(benchmark, case: Case) -> None:
    cell = Cell.of(case)
    if reason := missing_device(cell.device):
        pytest.skip(reason)
    with surroundings(cell):
        bench = set_up(cell)
        try:
            prepared_case = prepare_case(case, bench, lambda name: None)
        except UnsupportedError as error:
            pytest.skip(str(error))
        works = {"work": synchronised(prepared_case.work, cell.device), "f": lambda: bench.instance.f(bench.instance.x)}
        series = sample(works, clock_for(cell.device), SETTINGS, random.Random(cell.seed), "f")
        cost = ratio(series["work"].seconds, series["f"].seconds)
        status, reason = verdict(prepared_case.errors, bench)
        benchmark.group = cell.key
        benchmark.extra_info.update(
            {**asdict(case), "case": case.key, "status": status, "reason": reason},
            **asdict(prepared_case.counts),
            **asdict(prepared_case.errors),
            cost_ratio=cost.median if cost else None,
            cost_ratio_low=cost.low if cost else None,
            cost_ratio_high=cost.high if cost else None,
        )
        benchmark(works["work"])
    assert status == "ok" or case.strategy == "ones", reason


def synchronised(work, device: str):
    """Work that has ended when it returns."""
    if torch.device(device).type == "cpu":
        return work

    def run() -> None:
        work()
        torch.accelerator.synchronize(device)

    return run
