"""How long `jacstrat report` takes for very many records, in how much memory, and how large its page is."""

from __future__ import annotations

import csv
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

from .figure import Figure

SECONDS, BYTES, PAGE_BYTES = 20.0, 2**30, 1_000_000
REFERENCE = Path(__file__).parents[2] / "results" / "reference"
STRATEGIES, SIZES = 50, 20


def large(quick: bool) -> list[Figure]:
    """100 000 records: 100 settings of 50 strategies at 20 sizes; then one setting of 50 strategies at 2000 sizes."""
    settings = 2 if quick else 100
    with TemporaryDirectory() as name:
        wide, long = Path(name, "wide"), Path(name, "long")
        write(wide, settings, SIZES)
        write(long, 1, SIZES * settings)
        return [*judged(wide, "many settings"), *judged(long, "one setting")]


def default(quick: bool) -> list[Figure]:
    """The size of the page of the default sweep."""
    from jacstrat.report.analysis.runs import read_runs
    from jacstrat.report.page.write import page

    size = len(page(read_runs([REFERENCE])).encode())
    return [Figure("default", "page of results/reference", size, PAGE_BYTES, unit="MB")]


CHECKS: Mapping[str, Callable[[bool], list[Figure]]] = MappingProxyType({"large": large, "default": default})


def judged(directory: Path, what: str) -> list[Figure]:
    """Report a directory in a process of its own."""
    command = [sys.executable, "-m", "jacstrat", "report", str(directory)]
    begun = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - begun
    if process.returncode:
        seconds = float("nan")
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, in KiB elsewhere
    page = directory / "report.html"
    rows = sum(1 for _ in (directory / "records.csv").open()) - 1
    note = f"{rows} records, a page of {page.stat().st_size / 1e6:.2f} MB" if page.exists() else "no page"
    return [
        Figure("large", f"time of a report, {what}", seconds, SECONDS, unit="s", note=note),
        Figure("large", f"peak memory of a report, {what}", usage.ru_maxrss * unit, BYTES, unit="GiB"),
    ]


def write(directory: Path, settings: int, sizes: int) -> None:
    """Records of STRATEGIES strategies at so many sizes of so many problems, a tenth wrong, a tenth without result."""
    from dataclasses import asdict

    from jacstrat.core.case import KEY
    from jacstrat.record import COLUMNS, Record

    directory.mkdir()
    noise = random.Random(0)
    with (directory / "records.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        for i in range(settings):
            for n in range(1, sizes + 1):
                for k in range(STRATEGIES):
                    record = _record(f"problem_{i}", f"vmap:chunk_size={k + 1}", n, k, noise)
                    case = "/".join(str(record[name]) for name in KEY)
                    values = asdict(Record(case=case, **record))
                    rows.writerow(["" if value is None else value for value in values.values()])


def _record(problem: str, strategy: str, n: int, k: int, noise: random.Random) -> dict[str, object]:
    key = {"batch": 16, "dtype": "float64", "device": "cpu", "workload": "evaluate", "threads": 2, "seed": 0}
    base: dict[str, object] = {"problem": problem, "operator": "laplacian", "strategy": strategy, "n": n, **key}
    if k % 10 == 9:
        return {**base, "status": "timeout", "reason": "preparing took more than 30 s"}
    time_s = 1e-5 * (1 + n * (k + 1) / STRATEGIES) * noise.lognormvariate(0, 0.05)
    wrong = k % 10 == 4
    return {
        **base,
        "status": "wrong" if wrong else "ok",
        "reason": "beyond the tolerance" if wrong else "",
        "median_s": time_s,
        "q1_s": time_s * 0.97,
        "q3_s": time_s * 1.05,
        "ci_low_s": time_s * 0.99,
        "ci_high_s": time_s * 1.01,
        "samples": 20,
        "f_median_s": 4e-6,
        "cost_ratio": time_s / 4e-6,
        "cost_ratio_low": time_s / 4.1e-6,
        "cost_ratio_high": time_s / 3.9e-6,
        "peak_bytes": 8 * n * (k + 1),
        "rel_error": 0.3 if wrong else noise.choice([0.0, 1e-16, 2e-16]),
        "vjp_products": n,
    }
