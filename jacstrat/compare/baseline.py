"""The baseline: counts and accuracy of a sweep, without seconds, committed and reviewed as a diff."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path

from jacstrat.compare.inputs import RecordSet
from jacstrat.compare.verdict import Comparison, Gate, Verdict
from jacstrat.core.environment import read_sessions, write_sessions
from jacstrat.core.whole import write_whole
from jacstrat.record import TIMED, Record
from jacstrat.records import RECORDS, SWEEP, write_records
from jacstrat.report.analysis.setting import to_records
from jacstrat.samples import SAMPLES


def update_baseline(
    directory: Path, base: RecordSet | None, new: RecordSet, source: Path, comparison: Comparison | None
) -> int:
    """Write what NEW has over a baseline. Rows of cases in which nothing moved stay as they are, so that the diff shows
    what did, and none of the rounding that differs between machines.

    Args:
        directory: Of the baseline; made if need be.
        base: What it holds; None where there is none that can be read.
        new: What is to stand in its place.
        source: Where that lies, with its sweep and its environment if it is a directory.
        comparison: Of the two; None without a base.

    Returns:
        How many rows are new, gone, or written anew; 0 leaves the directory alone.
    """
    same_records: dict[str, Record] = {}
    gone = 0
    if base is not None and comparison is not None:
        old = {record.case: record for record in to_records(base.frame)}
        same = {c.case for c in comparison.cases if all(finding.gate is Gate.TIME for finding in c.findings)}
        same_records = {case: record for case, record in old.items() if case in same}
        gone = comparison.counts.get(Verdict.GONE, 0)
    records = [same_records.get(record.case) or _without_times(record) for record in to_records(new.frame)]
    written = gone + sum(record.case not in same_records for record in records)
    if written == 0 and base is not None and base.environment.torch == new.environment.torch:
        return 0
    directory.mkdir(parents=True, exist_ok=True)
    write_records(records, directory / RECORDS)
    (directory / SAMPLES).unlink(missing_ok=True)
    if (source / SWEEP).is_file():
        text = (source / SWEEP).read_text(encoding="utf-8")
        write_whole(directory / SWEEP, re.sub("^timed = true$", "timed = false", text, flags=re.M))
    if sessions := read_sessions(source):
        write_sessions(directory, [sessions[-1].brief()])
    return written


def _without_times(record: Record) -> Record:
    return Record(**{name: value for name, value in asdict(record).items() if name not in TIMED})
