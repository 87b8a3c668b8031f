"""Directories of runs made one: the shards of a sweep, or parts of it that were measured apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from jacstrat.core.case import FLOOR, F, beside
from jacstrat.core.environment import Session, read_sessions, write_sessions
from jacstrat.core.errors import UsageError
from jacstrat.core.whole import write_whole
from jacstrat.harness.directory import claimed, sweep_differences
from jacstrat.harness.plan.sweep import Sweep, load_sweep
from jacstrat.records import PARQUET, RECORDS, SWEEP, read_records, write_frame
from jacstrat.samples import SAMPLES, copy_samples

if TYPE_CHECKING:
    import pandas as pd

# More rows than this are kept as Parquet: a CSV of them takes seconds to read, and hundreds of MB.
MOST_CSV_ROWS = 100_000

# What another measurement of the same case must agree in: how it ended, and what is counted and not timed.
SAME = ("status", "vjp_products", "jvp_products", "f_evaluations", "aten_ops", "flops", "draws")
# Versions that the environments of all must have in common.
PACKAGES = ("jacstrat", "torch")


@dataclass(frozen=True)
class Merged:
    """What became of directories that were merged.

    Fields:
        rows: In the result.
        overlapping: Cases that more than one directory had; the first one's row is kept.
        missing: Cases of the sweep that no directory has.
        file: The records.
    """

    rows: int
    overlapping: int
    missing: int
    file: Path


def merge(directories: Sequence[Path], out: Path, file_format: str | None = None) -> Merged:
    """Make one directory of several, which stay as they are.

    Args:
        directories: Of runs of one sweep, or of shards of it.
        out: Gets the records, samples, environments and the sweep, without a shard; a run can go on in it.
        file_format: "csv" or "parquet"; None for what suits the number of rows.

    Raises:
        UsageError: A directory holds no run, another sweep, other versions of jacstrat or torch, or says otherwise of a
            case than one before it; or `out` holds records. Nothing is written then.

    Cost: reads all records into memory, samples line by line.
    """
    if file_format not in (None, "csv", "parquet"):
        raise UsageError(f"--format must be csv or parquet, got {file_format!r}")
    if len(set(directories)) < len(directories):
        raise UsageError("a directory is named twice; name each once")
    sweeps = [_sweep_of(directory) for directory in directories]
    for directory, sweep in zip(directories[1:], sweeps[1:], strict=True):
        if difference := next(iter(sweep_differences(sweeps[0], sweep)), None):
            raise UsageError(f"{directory} holds another sweep than {directories[0]}: {difference}; merge it apart")
    sessions = [read_sessions(directory) for directory in directories]
    _same_versions(directories, sessions)
    frames = [read_records(directory).drop_duplicates("case", keep="last") for directory in directories]
    frame, overlapping = _joined(frames, directories)
    whole = replace(sweeps[0], shard=None)
    asked = {case.key for cell in whole.cells() for case in cell.cases}
    name = {"csv": RECORDS, "parquet": PARQUET, None: RECORDS if len(frame) <= MOST_CSV_ROWS else PARQUET}[file_format]
    with claimed(out):
        for file in (RECORDS, PARQUET):
            if (out / file).exists():
                raise UsageError(f"{out} holds records already; name another with --out")
        _write_samples(frame, directories, out / SAMPLES)
        write_sessions(out, chain.from_iterable(sessions))
        write_whole(out / SWEEP, whole.to_toml())
        # Last: a directory with records has all the rest.
        write_frame(frame.drop(columns="from"), out / name)
    return Merged(len(frame), overlapping, len(asked - set(frame["case"])), out / name)


def _sweep_of(directory: Path) -> Sweep:
    if not (directory / SWEEP).is_file():
        raise UsageError(f"{directory} holds no run: {directory / SWEEP} is missing")
    return load_sweep(str(directory / SWEEP))


def _same_versions(directories: Sequence[Path], sessions: Sequence[Sequence[Session]]) -> None:
    first: dict[str, tuple[str, Path]] = {}
    for directory, several in zip(directories, sessions, strict=True):
        for session in several:
            # Where workers have measured, the client's torch has not.
            for snapshot in session.workers.values() or [session.start]:
                for package in PACKAGES:
                    version = str(snapshot.packages.get(package) or "unknown").split("+")[0]
                    before, where = first.setdefault(package, (version, directory))
                    if version != before:
                        mine = f"{directory} was measured with {package} {version}"
                        raise UsageError(f"{mine}, {where} with {before}; merge them apart")


def _joined(frames: Sequence[pd.DataFrame], directories: Sequence[Path]) -> tuple[pd.DataFrame, int]:
    """All rows, the first of each case, with the number of its directory as `from`; and how many cases had others."""
    import pandas as pd

    frame = pd.concat([one.assign(**{"from": number}) for number, one in enumerate(frames)], ignore_index=True)
    others = frame[frame.duplicated("case", keep="first")]
    merged = frame.drop_duplicates("case", keep="first")
    if len(others):
        pairs = others.merge(merged, on="case", suffixes=("", "_kept"))
        for column in SAME:
            mine, kepts = pairs[column], pairs[f"{column}_kept"]
            # A case that has no result says nothing of counts.
            differing = pairs[((mine != kepts) & mine.notna() & kepts.notna()).fillna(False).astype(bool)]
            if len(differing):
                row = differing.iloc[0]
                new, old = directories[row["from"]], directories[row["from_kept"]]
                raise UsageError(
                    f"{row['case']} has {column} {row[column]} in {new}, {row[f'{column}_kept']} in {old}; "
                    "leave one of them out, or measure the case again with --resume --retry"
                )
    return merged, others["case"].nunique()


def _write_samples(frame: pd.DataFrame, directories: Sequence[Path], file: Path) -> None:
    """The samples of rows that are kept, each from its row's directory; with those of f and the floor beside them."""
    with file.open("wb") as out:
        for number, directory in enumerate(directories):
            cases = frame.loc[frame["from"] == number, "case"]
            wanted = {*cases, *(beside(case, name) for case in cases for name in (F, FLOOR))}
            copy_samples(directory, wanted, out.write)
