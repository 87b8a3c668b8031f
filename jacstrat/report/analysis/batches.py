"""What was measured over B at one n, as records over B: what reads records over n reads these."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from jacstrat.record import Record
from jacstrat.report.analysis.answers import MEASURED
from jacstrat.report.analysis.setting import Setting, Source, by_setting, to_records

LEAST_BATCHES = 3
"""Two points make no curve."""


@dataclass(frozen=True)
class BatchSweep:
    """The records of one n over several B.

    Fields:
        setting: Its batch is 0: all of them.
        n: Which.
        records: By B, which stands in the place of n; the batch of each is 0.
    """

    setting: Setting
    n: int
    records: tuple[Record, ...]

    def title(self, *, also: Iterable[str] = ()) -> str:
        """As of a setting, with n in the place of B."""
        return f"{self.setting.title(also=also)}, n = {self.n}"


def batch_sweeps(source: Source) -> tuple[BatchSweep, ...]:
    """One for each setting, whatever its B, that has times at LEAST_BATCHES of them at one n.

    Of several such n the one that has the most B is taken, then the largest.
    """
    found_settings = by_setting(to_records(source))
    # A B that no machine has measured, as where every strategy ran out of memory, stands with the first machine's.
    measured: dict[Setting, Setting] = {}
    for setting in found_settings:
        if setting.machine:
            measured.setdefault(replace(setting, batch=0, machine=""), replace(setting, batch=0))
    groups: dict[Setting, dict[int, dict[int, list[Record]]]] = {}
    for setting, group in found_settings.items():
        whole = replace(setting, batch=0)
        by_n = groups.setdefault(measured.get(whole, whole), {})
        for record in group:
            by_n.setdefault(record.n, {}).setdefault(setting.batch, []).append(record)
    found = []
    for setting, by_n in groups.items():
        n = max(by_n, key=lambda n: (timed(by_n[n]), n))
        if timed(by_n[n]) >= LEAST_BATCHES:
            over_b = [(batch, record) for batch, group in sorted(by_n[n].items()) for record in group]
            records = [replace(record, n=batch, batch=0, machine=setting.machine) for batch, record in over_b]
            found.append(BatchSweep(setting, n, tuple(records)))
    return tuple(found)


def timed(by_batch: dict[int, list[Record]]) -> int:
    """At how many B anything has a time."""
    return sum(any(r.status in MEASURED and r.median_s is not None for r in group) for group in by_batch.values())
