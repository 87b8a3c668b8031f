"""The measured rates of a cell's device, once for each dtype and number of threads of a run."""

from __future__ import annotations

import json
import os
import re
from functools import lru_cache
from pathlib import Path

from jacstrat.harness.cases import Cell
from jacstrat.harness.precision import DTYPES
from jacstrat.measure.clocks import clock_for
from jacstrat.measure.roofline import Peaks, measured_peaks


def peaks_of(cell: Cell, cache: Path | None = None) -> Peaks | None:
    """What the device of a cell does in a second, within `bench.surroundings`; None where it cannot be measured.

    Args:
        cell: Its device, dtype and threads.
        cache: A directory of the run, in which they are kept for the cells to come; None for this process alone.
    """
    key = (cell.device, cell.dtype, cell.threads)
    if cache is None:
        return _here(*key)
    file = cache / f"peaks-{re.sub(r'[^a-z0-9]+', '-', '-'.join(map(str, key)))}.json"
    try:
        return Peaks(**json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        pass
    found = _measured(cell.device, cell.dtype)
    if found is not None:
        cache.mkdir(parents=True, exist_ok=True)
        temporary = file.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(json.dumps(found.to_json()), encoding="utf-8")
        temporary.replace(file)
    return found


@lru_cache(maxsize=64)
def _here(device: str, dtype: str, threads: int) -> Peaks | None:
    return _measured(device, dtype)


def _measured(device: str, dtype: str) -> Peaks | None:
    return measured_peaks(clock_for(device), device, DTYPES[dtype])
