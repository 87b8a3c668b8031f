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
from jacstrat.record import COLUMNS, REQUIRED, TABLE, TYPES
from jacstrat.records import RECORDS, read_records, records_file
from jacstrat.table import Column, typed

if TYPE_CHECKING:
    import pandas as pd

WAIT_S = 60
"""How long a writer waits for those before it."""
UNWRITABLE = ("SQLITE_FULL", "SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_IOERR", "SQLITE_PERM")
"""What SQLite says where the system refuses it a file."""
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
class StoredRun:
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
    """A file of results over commits, made where it is not there yet, and taken by one writer at a time.

    Args:
        file: The store.
        write: It is made, and gets the columns of today; else it has to be there and is left as it is, so that one in a
            place that cannot be written can be read.

    Raises:
        UsageError: It is no such file, cannot be written, or a later version of jacstrat wrote it.
    """

    def __init__(self, file: Path, write: bool = True) -> None:
        self.file = file
        with self._answered():
            if write:
                file.parent.mkdir(parents=True, exist_ok=True)
            mode = "rwc" if write else "ro"
            # Transactions are begun by hand: those that Python begins leave out what makes tables.
            self._db = sqlite3.connect(
                f"{file.absolute().as_uri()}?mode={mode}", uri=True, timeout=WAIT_S, isolation_level=None
            )
        try:
            with self._answered():
                if write:
                    with self._writing():
                        self._check()
                        self._make_tables()
                self._check()
        except BaseException:
            self._db.close()
            raise

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    @contextmanager
    def _answered(self) -> Iterator[None]:
        """What SQLite and the system refuse, in a line."""
        try:
            yield
        except (sqlite3.Error, OSError, OverflowError) as error:
            # The extended names begin with the plain ones: SQLITE_READONLY_DIRECTORY.
            name = getattr(error, "sqlite_errorname", "")
            if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
                raise UsageError(f"{self.file} is in use by another program; try again when it has ended") from None
            if isinstance(error, OSError) or name.startswith(UNWRITABLE):
                why = getattr(error, "strerror", error)
                raise UsageError(f"{self.file} cannot be opened or written: {why}; name another with --store") from None
            raise UsageError(f"{self.file} is no store of results: {error}; name another with --store") from None

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Hold the store against other writers, who wait; all of the block is done, or nothing."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _check(self) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        tables = {row[0] for row in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        # A version before this one was killed while it made the tables, and had not said so yet.
        begun = version == 0 and tables <= {"runs", "results"}
        if version != VERSION and not begun:
            raise UsageError(f"{self.file} is another program's, or a later version's; name another with --store")
        if version == VERSION and not {"runs", "results"} <= tables:
            raise UsageError(f"{self.file} has lost its tables; name another with --store")

    def _make_tables(self) -> None:
        columns = ", ".join(f"{name} {kind}" for name, kind in RUN.items())
        self._db.execute(f"CREATE TABLE IF NOT EXISTS runs (run INTEGER PRIMARY KEY, {columns})")
        self._db.execute("CREATE TABLE IF NOT EXISTS results (run INTEGER NOT NULL REFERENCES runs)")
        # A column that records have got since the file was made is empty in what is there.
        have = self._columns("results")
        for name in STORED:
            if name not in have:
                self._db.execute(f'ALTER TABLE results ADD COLUMN "{name}" {_SQL[TYPES[name]]}')
        self._db.execute('CREATE INDEX IF NOT EXISTS by_case ON results ("case", run)')
        self._db.execute(f"PRAGMA user_version = {VERSION}")

    def _columns(self, table: str) -> set[str]:
        return {row[1] for row in self._db.execute(f"PRAGMA table_info({table})")}

    def add(self, directory: Path, commit: str | None = None, date: str | None = None) -> tuple[StoredRun, int] | None:
        """Take in the records of a directory.

        Args:
            directory: Of a run, or one side of a comparison of revisions.
            commit: What was measured, where the directory does not say or is not to be believed.
            date: When that was committed.

        Returns:
            The run and its number of cases; None where the store has the same records already.

        Raises:
            UsageError: There are no records, or nobody says of which commit; or another program holds the store.
        """
        frame = read_records(directory)
        run = _run(directory, commit, date)
        digest = hashlib.sha256(records_file(directory).read_bytes() + run.commit.encode()).hexdigest()
        rows = [tuple(map(_plain, row)) for row in frame.loc[:, list(STORED)].itertuples(index=False)]
        row_of_run = (run.commit, run.date, run.measured, run.dirty, run.machine, run.torch, run.source, digest)
        values = tuple(map(_plain, row_of_run))
        with self._answered(), self._writing():
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
        before records had the column, it is that of the run. A column that records have got since the store was made is
        empty.

        Raises:
            UsageError: The store is damaged, or holds what a column cannot; names row and column.
        """
        import pandas as pd

        expressions = {"machine": "COALESCE(NULLIF(results.machine, ''), runs.machine) AS machine"}
        runs = ", ".join(f"runs.{name}" for name in RUN if name != "digest" and name not in STORED)
        with self._answered():
            have = self._columns("results")
            if not have:
                raise UsageError(f"{self.file} holds no run; `jacstrat history add DIR` takes in results")
            if missing := [name for name in REQUIRED if name not in have]:
                raise UsageError(f"{self.file} has lost the columns {', '.join(missing)}; name another with --store")
            names = ", ".join(
                expressions.get(name, f'results."{name}"') if name in have else f'NULL AS "{name}"' for name in STORED
            )
            query = f"SELECT runs.run, {runs}, {names} FROM results JOIN runs USING (run) ORDER BY runs.date, runs.run"
            cursor = self._db.execute(query)
            titles = [column[0] for column in cursor.description]
            rows = cursor.fetchall()
        frame = pd.DataFrame(rows, columns=titles, dtype=object).rename(columns={"commit_id": "commit"})
        texts = {name: Column(name, str) for name in ("commit", "date", "measured", "torch", "source") if name in frame}
        flags = {"dirty": Column("dirty", bool, required=True)}
        columns = {**TABLE, **texts, **flags, "run": Column("run", int, required=True)}
        return pd.DataFrame({name: typed(frame[name], columns[name], str(self.file), 1) for name in map(str, frame)})


def directories(directory: Path) -> list[Path]:
    """What a directory has of records: itself, or both sides of a comparison of revisions.

    Raises:
        UsageError: It has none.
    """
    if records_file(directory).is_file() and directory.is_dir():
        return [directory]
    sides = [directory / side for side in ("base", "new") if records_file(directory / side).is_file()]
    if not sides:
        raise UsageError(f"{directory} has no {RECORDS}, nor a base and a new that have; name the directory of a run")
    return sides


@contextmanager
def opened(file: Path, must_exist: bool = False) -> Iterator[Store]:
    """A store, closed after the block.

    Args:
        file: The store.
        must_exist: It is only read.

    Raises:
        UsageError: As Store; and where it has to be there and is not.
    """
    if must_exist and not file.is_file():
        raise UsageError(f"{file} does not exist; `jacstrat history add DIR` makes it")
    with Store(file, write=not must_exist) as store:
        yield store


def commit_in(directory: Path) -> tuple[str, str]:
    """The commit that a directory says it measured, and when that was committed; "" for what it does not say."""
    session = _last(directory)
    return session.commit[0], session.date


def _last(directory: Path) -> Snapshot:
    """The environment of the last session."""
    sessions = read_sessions(directory)
    return sessions[-1].start if sessions else UNKNOWN


def _run(directory: Path, commit: str | None, date: str | None) -> StoredRun:
    session = _last(directory)
    measured, dirty = session.commit
    if not (commit or measured):
        raise UsageError(f"{directory} does not say which commit it measured; give it with --commit")
    commit, dirty = (commit, False) if commit else (measured, dirty)
    date = date or session.date or session.utc
    if not date:
        raise UsageError(f"{directory} does not say when it was measured, nor git when {commit} was committed")
    return StoredRun(
        commit=commit,
        date=_utc(date),
        measured=session.utc,
        dirty=dirty,
        machine=session.machine,
        torch=session.torch,
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
    except (ValueError, OverflowError):
        raise UsageError(f"a date must be as in ISO 8601, 2026-01-31T12:00:00+00:00, got {date!r}") from None


def _plain(value: Any) -> Any:
    """A value as SQLite takes it: what was not measured is NULL, and half a pair of surrogates a question mark."""
    import pandas as pd

    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if value is pd.NA or value != value:
        return None
    return value.item() if hasattr(value, "item") else value
