"""Records as a run writes them, without a run: times follow a plain model, noise is seeded."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from jacstrat.core.case import KEY
from jacstrat.record import Record
from jacstrat.records import RecordWriter, read_records
from jacstrat.report.analysis.runs import Run

NS = (1, 2, 4, 8, 16, 32, 64)

# Strategy: time of a call over that of f, at n inputs.
COSTS: dict[str, Callable[[int], float]] = {
    "identity": lambda n: 2.0 + 1.6 * n,
    "ones": lambda n: 3.2,
    "vmap": lambda n: 6.0 + 0.11 * n,
    "jvp": lambda n: 1.0 + 1.9 * n,
    "jacrev": lambda n: 7.5 + 0.13 * n,
    "jacfwd": lambda n: 8.5 + 0.10 * n,
    "vmap:chunk_size=8": lambda n: 6.0 + 0.5 * n,
}


def make(**values: Any) -> Record:
    """One record, ok and timed at 10 µs unless told otherwise; its quartiles lie 5 % about its median."""
    defaults: dict[str, Any] = {
        "problem": "sin",
        "operator": "divergence",
        "strategy": "vmap",
        "n": 4,
        "batch": 1,
        "dtype": "float64",
        "device": "cpu",
        "workload": "evaluate",
        "threads": 1,
        "seed": 0,
        "status": "ok",
        "median_s": 10e-6,
    }
    full = {**defaults, **values}
    median = full["median_s"]
    if median is not None:
        full = {"q1_s": median * 0.95, "q3_s": median * 1.05, **full}
    return Record(**{"case": "/".join(str(full[name]) for name in KEY), **full})


def make_sweep(problem: str = "linear", ns: Iterable[int] = NS, **shared: Any) -> list[Record]:
    """All of COSTS over n. `ones` is wrong beyond n = 1 unless the problem is "sin"."""
    noise = random.Random(problem)
    records = []
    for n in ns:
        f_s = 4e-6 * (1 + n / 300) * noise.uniform(0.97, 1.03)
        for strategy, cost in COSTS.items():
            ratio = cost(n) * noise.uniform(0.96, 1.04)
            bad = strategy == "ones" and n > 1 and problem != "sin"
            error = 0.3 * n**0.5 if bad else noise.choice([0.0, 1.1e-16, 2.2e-16]) * (1 + n / 40)
            records.append(
                make(
                    problem=problem,
                    strategy=strategy,
                    n=n,
                    status="wrong" if bad else "ok",
                    reason=f"relative error {error:.1e} is beyond the tolerance 1.0e-12" if bad else "",
                    median_s=f_s * ratio,
                    q1_s=f_s * ratio * 0.97,
                    q3_s=f_s * ratio * 1.06,
                    ci_low_s=f_s * ratio * 0.99,
                    ci_high_s=f_s * ratio * 1.01,
                    f_median_s=f_s,
                    cost_ratio=ratio,
                    cost_ratio_low=ratio * 0.98,
                    cost_ratio_high=ratio * 1.02,
                    peak_bytes=round(8 * n * (n if strategy[:3] in ("vma", "jac") else 4)),
                    rel_error=error,
                    exact=error == 0,
                    **shared,
                )
            )
    return records


@pytest.fixture
def record() -> Callable[..., Record]:
    return make


@pytest.fixture
def sweep() -> Callable[..., list[Record]]:
    return make_sweep


@pytest.fixture
def frame_of(tmp_path: Path) -> Callable[[Iterable[Record]], pd.DataFrame]:
    """Writes records as a run does and reads them back."""
    number = count()

    def written(records: Iterable[Record]) -> pd.DataFrame:
        directory = tmp_path / f"run{next(number)}"
        directory.mkdir()
        with RecordWriter(directory) as writer:
            for record in records:
                writer.write(record)
        return read_records(directory)

    return written


Make = Callable[..., Record]


@pytest.fixture
def drawn(record: Make) -> Make:
    """A row of a stochastic strategy."""

    def make(strategy: str, products: int, rel_error: float, median_s: float, **values) -> Record:
        shared = {"draws": 100, "coverage": 0.66, "std_error": 0.1, "vjp_products": products, "jvp_products": 0}
        return record(strategy=strategy, rel_error=rel_error, median_s=median_s, **{**shared, **values})

    return make


def stochastic_rows(record: Make, drawn: Make) -> list[Record]:
    """xtrace reaches the target in 2 ms at every n, hutchinson in 100 ms; vmap takes n / 10 ms."""
    found = []
    for n in (8, 16, 32, 64):
        found += [
            record(strategy="vmap", n=n, median_s=n * 1e-4),
            record(strategy="jvp", n=n, median_s=n * 1e-3),
            drawn("hutchinson", 16, 0.1, 1e-3, n=n),
            drawn("xtrace", 16, 0.1, 1e-3, n=n, coverage=0.5),
            drawn("xtrace:probes=64", 64, 1e-3, 4e-3, n=n, jvp_products=1, vjp_products=64),
        ]
    return found


def run(label: str, *records: Record) -> Run:
    return Run(label, Path(label), records)


@pytest.fixture
def two_runs(record: Make) -> tuple[Run, Run]:
    """On the CPU jvp wins, on the GPU vmap from n = 4 on; at n = 8 it is level there."""

    def rows(device: str, ratios: dict[str, tuple[float, ...]]) -> list[Record]:
        return [
            record(
                strategy=name,
                n=n,
                device=device,
                cost_ratio=ratio,
                cost_ratio_low=ratio * 0.9,
                cost_ratio_high=ratio * 1.1,
                median_s=ratio * (1e-6 if device == "cpu" else 1e-8),
                over_fastest_low=low,
            )
            for name, line in ratios.items()
            for n, ratio in zip((2, 4, 8), line, strict=True)
            for low in [0.9 if (device, n, name) == ("cuda", 8, "jvp") else None]
        ]

    return (
        run("cpu", *rows("cpu", {"jvp": (2.0, 3.0, 4.0), "vmap": (4.0, 5.0, 6.0)})),
        run("gpu", *rows("cuda", {"jvp": (2.0, 6.0, 16.0), "vmap": (3.0, 4.0, 4.0)})),
    )


@pytest.fixture
def seen(record: Make) -> Callable[..., Record]:
    """R = 1e9 FLOPs and W = 1e8 bytes a second."""

    def made(strategy: str, flops: int, moved: int, median_s: float, kernel: float = 0.25, **values) -> Record:
        plain = asdict(record(strategy=strategy, median_s=median_s, **values)) | {"flops": flops, "moved_bytes": moved}
        plain |= {"compute_s": flops / 1e9, "memory_s": moved / 1e8, "over_light": median_s / 1e-6}
        plain |= {"kernels": 3, "kernel_s": median_s * kernel, "gap_s": median_s * (1 - kernel)}
        return Record(**plain)

    return made
