"""What bounds a case: launches, memory, arithmetic, or the length of small kernels, from its columns alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType

from jacstrat.record import Record
from jacstrat.report.analysis.setting import Source, to_records

LAUNCH, OVERHEAD, MEMORY, COMPUTE, LATENCY = "launch", "overhead", "memory", "compute", "latency"

BOUNDS: Mapping[str, str] = MappingProxyType(
    {
        LAUNCH: "the device waits for its launches for more than half of a call",
        OVERHEAD: "what a CPU computes and moves takes less than half of a call, the rest is calling it",
        MEMORY: "bytes that are moved take longer than what is computed",
        COMPUTE: "matrix products take longer than the bytes that are moved",
        LATENCY: "kernels run, each too small for either to matter",
    }
)
"""Each bound in words, in the order in which they are asked for."""

# Of a call, that the device or the arithmetic has to be busy for; of the time in kernels, that bytes or products have
# to take at the measured rates, below which kernels are short of work.
BUSY, FILLED = 0.5, 0.25


def bound_of(record: Record) -> str | None:
    """What bounds a case, a name from BOUNDS; None where it has no time, or the columns do not say."""
    if not record.median_s or record.compute_s is None:
        return None
    least_s = max(record.compute_s, record.memory_s or 0.0)
    if record.device == "cpu":
        if least_s < BUSY * record.median_s:
            return OVERHEAD
    elif record.kernel_s is None or (warm_s := _warm_s(record)) is None:
        return None
    elif record.kernel_s < BUSY * warm_s:
        return LAUNCH
    elif least_s < FILLED * record.kernel_s:
        # Of a compiled program it is not known what it moves.
        return LATENCY if record.memory_s is not None else None
    return COMPUTE if record.compute_s >= (record.memory_s or 0.0) else MEMORY


def _warm_s(record: Record) -> float | None:
    """The time of a warm call, which the time in kernels is of; None where cold ones alone were timed."""
    return record.warm_s or (None if record.cache == "cold" else record.median_s)


def bound_sentences(source: Source) -> tuple[str, ...]:
    """How many cases each bound holds for, and where the strategies stand, by kind of device."""
    by_device: dict[str, list[tuple[str, Record]]] = {}
    for record in to_records(source):
        if (bound := bound_of(record)) is not None:
            by_device.setdefault(record.device.partition(":")[0], []).append((bound, record))
    return tuple(_sentence(device, cases) for device, cases in by_device.items())


def _sentence(device: str, cases: list[tuple[str, Record]]) -> str:
    counts = Counter(bound for bound, _ in cases)
    parts = [f"{counts[bound]} {bound}-bound ({_sizes(bound, cases)})" for bound in BOUNDS if counts[bound]]
    return f"On {device}, of {len(cases)} cases: {', '.join(parts)}."


def _sizes(bound: str, cases: list[tuple[str, Record]]) -> str:
    ns = [record.n for name, record in cases if name == bound]
    return f"n = {min(ns)}" if min(ns) == max(ns) else f"n from {min(ns)} to {max(ns)}"


def cache_sentence(source: Source) -> str | None:
    """Of which calls the times are; None where no record says, as before schema 5."""
    records = [record for record in to_records(source) if record.cache and record.median_s]
    if not records:
        return None
    caches = dict.fromkeys(record.cache for record in records)
    sentence = f"Times are of calls with a {' or a '.join(caches)} cache"
    if len(caches) > 1:
        return f"{sentence}, as the column cache says."
    ratios = sorted(record.cold_s / record.warm_s for record in records if record.cold_s and record.warm_s)
    if not ratios:
        return f"{sentence}."
    low, high = ratios[0], ratios[-1]
    return f"{sentence}; a cold call takes {low:.2g} to {high:.2g} times as long as a warm one."
