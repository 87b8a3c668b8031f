"""The measured rates of a cell's device, once for each dtype and number of threads of a run."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

from jacstrat.harness.plan.cases import Cell
from jacstrat.harness.plan.precision import DTYPES
from jacstrat.measure.roofline import Peaks, measured_peaks
from jacstrat.measure.torch_device import clock_for

# Those of this process, by device, dtype and threads.
_HERE: dict[tuple[str, str, int], Peaks | None] = {}


def peaks_of(cell: Cell, cache: Path | None = None, beat: Callable[[], object] = lambda: None) -> Peaks | None:
    """What the device of a cell does in a second, within `surroundings.surroundings`; None where it cannot be measured.

    Args:
        cell: Its device, dtype and threads.
        beat: Called again and again while they are measured.
        cache: A directory of the run, in which they are kept for the cells to come; None for this process alone.
    """
    key = (cell.device, cell.dtype, cell.threads)
    if cache is None:
        if key not in _HERE:
            _HERE[key] = _measured(cell.device, cell.dtype, beat)
        return _HERE[key]
    file = cache / f"peaks-{re.sub(r'[^a-z0-9]+', '-', '-'.join(map(str, key)))}.json"
    try:
        return Peaks(**json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        # Of the first cell there is none yet; one that cannot be read, or that another version wrote, is measured again
        # and written over, which costs a second and no row.
        pass
    peaks = _measured(cell.device, cell.dtype, beat)
    if peaks is not None:
        cache.mkdir(parents=True, exist_ok=True)
        temporary = file.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(json.dumps(peaks.to_json()), encoding="utf-8")
        temporary.replace(file)
    return peaks


def _measured(device: str, dtype: str, beat: Callable[[], object]) -> Peaks | None:
    return measured_peaks(clock_for(device), device, DTYPES[dtype], beat)
