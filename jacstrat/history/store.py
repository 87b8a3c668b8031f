"""The store of results over commits: one file of SQLite, a row a run and a row a case of it."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from jacstrat.core.environment import UNKNOWN, Snapshot, read_sessions
from jacstrat.core.errors import UsageError
from jacstrat.records import COLUMNS, RECORDS, TYPES, read_records

if TYPE_CHECKING:
    import pandas as pd

VERSION = 1
"""Of the tables, as SQLite's user_version; columns of records may be added to it."""
RUN = MappingProxyType(
    {
        "commit_id": "TEXT NOT NULL",
        "date": "TEXT NOT NULL",
        "measured": "TEXT NOT NULL",
        "dirty": "INTEGER NOT NULL",
        "machine": "TEXT NOT NULL",
        "torch": "TEXT NOT NULL",
        "source": "TEXT NOT NULL",
        "digest": "TEXT NOT NULL UNIQUE",
    }
)
STORED = tuple(name for name in COLUMNS if name != "schema")
"""Columns of records that are kept: all that say something of a case."""
_SQL = {int: "INTEGER", float: "REAL", bool: "INTEGER", str: "TEXT"}


@dataclass(frozen=True, kw_only=True)
class Run:
    """Where records come from.

    Fields:
        commit: What was measured, the full hash.
        date: When it was committed, ISO 8601, which orders runs; where nobody knows, when it was measured.
        measured: When it was measured.
        dirty: It had changes that the commit has not.
        machine: Hash of the machine's kind, as in environment.json; "" where it is not told. It stands in for the
            column `machine` of records that have none.
        torch: Version; "" likewise.
        source: The directory, as the user named it.
    """

    commit: str
    date: str
    measured: str
    dirty: bool
    machine: str
    torch: str
    source: str


class Store:
    """A file of results over commits, made where it is not there yet.

    Raises:
        UsageError: It is no such file, cannot be written, or a later version of jacstrat wrote it.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(file)
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            held = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        except (sqlite3.Error, OSError) as error:
            raise UsageError(f"{file} is no store of results: {error}; name another with --store") from None
        if version not in (0, VERSION) or (held and not version):
            self._db.close()
            raise UsageError(f"{file} is another program's, or a later version's; name another with --store")
        with self._db:
            self._make_tables()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def _make_tables(self) -> None:
        columns = ", ".join(f"{name} {kind}" for name, kind in RUN.items())
        self._db.execute(f"CREATE TABLE IF NOT EXISTS runs (run INTEGER PRIMARY KEY, {columns})")
        self._db.execute("CREATE TABLE IF NOT EXISTS results (run INTEGER NOT NULL REFERENCES runs)")
        # A column that records have got since the file was made is empty in what is there.
        have = {row[1] for row in self._db.execute("PRAGMA table_info(results)")}
        for name in STORED:
            if name not in have:
                self._db.execute(f'ALTER TABLE results ADD COLUMN "{name}" {_SQL[TYPES[name]]}')
        self._db.execute('CREATE INDEX IF NOT EXISTS by_case ON results ("case", run)')
        self._db.execute(f"PRAGMA user_version = {VERSION}")

    def add(self, directory: Path, commit: str | None = None, date: str | None = None) -> tuple[Run, int] | None:
        """Take in the records of a directory.

        Args:
            directory: Of a run, or one side of a comparison of revisions.
            commit: What was measured, where the directory does not say or is not to be believed.
            date: When that was committed.

        Returns:
            The run and its number of cases; None where the store has the same records already.

        Raises:
            UsageError: There are no records, or nobody says of which commit.
        """
        frame = read_records(directory)
        run = _run(directory, commit, date)
        digest = hashlib.sha256((directory / RECORDS).read_bytes() + run.commit.encode()).hexdigest()
        rows = [tuple(map(_plain, row)) for row in frame.loc[:, list(STORED)].itertuples(index=False)]
        values = (run.commit, run.date, run.measured, run.dirty, run.machine, run.torch, run.source, digest)
        with self._db:
            if self._db.execute("SELECT 1 FROM runs WHERE digest = ?", (digest,)).fetchone():
                return None
            places = ", ".join("?" for _ in RUN)
            number = self._db.execute(f"INSERT INTO runs ({', '.join(RUN)}) VALUES ({places})", values).lastrowid
            names = ", ".join(f'"{name}"' for name in STORED)
            places = ", ".join("?" for _ in STORED)
            self._db.executemany(
                f"INSERT INTO results (run, {names}) VALUES (?, {places})", [(number, *row) for row in rows]
            )
        return run, len(rows)

    def frame(self) -> pd.DataFrame:
        """Everything: a row a case of a run, in the order of commits, with what is known of the run.

        `machine` is that of the record, since the cases of one run may come from several; where a record names none, as
        before records had the column, it is that of the run.
        """
        import pandas as pd

        own = {"machine": "COALESCE(NULLIF(results.machine, ''), runs.machine) AS machine"}
        names = ", ".join(own.get(name, f'results."{name}"') for name in STORED)
        runs = ", ".join(f"runs.{name}" for name in RUN if name != "digest" and name not in STORED)
        query = f"SELECT runs.run, {runs}, {names} FROM results JOIN runs USING (run) ORDER BY runs.date, runs.run"
        return pd.read_sql_query(query, self._db).rename(columns={"commit_id": "commit"})


def directories(directory: Path) -> list[Path]:
    """What a directory has of records: itself, or both sides of a comparison of revisions.

    Raises:
        UsageError: It has none.
    """
    if (directory / RECORDS).is_file():
        return [directory]
    sides = [directory / side for side in ("base", "new") if (directory / side / RECORDS).is_file()]
    if not sides:
        raise UsageError(f"{directory} has no {RECORDS}, nor a base and a new that have; name the directory of a run")
    return sides


@contextmanager
def opened(file: Path, must_exist: bool = False) -> Iterator[Store]:
    """A store, closed after the block.

    Raises:
        UsageError: As Store; and where it has to be there and is not.
    """
    if must_exist and not file.is_file():
        raise UsageError(f"{file} does not exist; `jacstrat history add DIR` makes it")
    with Store(file) as store:
        yield store


def commit_in(directory: Path) -> tuple[str, str]:
    """The commit that a directory says it measured, and when that was committed; "" for what it does not say."""
    told = _last(directory)
    return told.commit[0], told.date


def _last(directory: Path) -> Snapshot:
    """The environment of the last session."""
    sessions = read_sessions(directory)
    return sessions[-1].start if sessions else UNKNOWN


def _run(directory: Path, commit: str | None, date: str | None) -> Run:
    told = _last(directory)
    measured, dirty = told.commit
    if not (commit or measured):
        raise UsageError(f"{directory} does not say which commit it measured; give it with --commit")
    commit, dirty = (commit, False) if commit else (measured, dirty)
    date = date or told.date or told.utc
    if not date:
        raise UsageError(f"{directory} does not say when it was measured, nor git when {commit} was committed")
    return Run(
        commit=commit,
        date=_utc(date),
        measured=told.utc,
        dirty=dirty,
        machine=told.machine,
        torch=told.torch,
        source=str(directory),
    )


def _utc(date: str) -> str:
    """A date in UTC, so that dates sort as text.

    Raises:
        UsageError: It is none.
    """
    from datetime import UTC, datetime

    try:
        return datetime.fromisoformat(date).astimezone(UTC).isoformat(timespec="seconds")
    except ValueError:
        raise UsageError(f"a date must be as in ISO 8601, 2026-01-31T12:00:00+00:00, got {date!r}") from None


def _plain(value: Any) -> Any:
    """A value as SQLite takes it: what was not measured is NULL."""
    import pandas as pd

    if value is pd.NA or value != value:
        return None
    return value.item() if hasattr(value, "item") else value
