"""The store: what goes in comes out, once, in the order of commits."""

from __future__ import annotations

import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path

import pandas as pd
import pytest

from jacstrat import JacstratError
from jacstrat.core.environment import ENVIRONMENT
from jacstrat.history.lines import lines_of, measure_of
from jacstrat.history.store import Store, commit_in, directories, opened
from jacstrat.record import Record
from jacstrat.records import RECORDS, read_records
from tests.history.conftest import commit, row


def test_what_goes_in_comes_out(directory, tmp_path) -> None:
    machine = "0a1b2c3d-00112233"
    full = row(exact=True, energy_j=None, reason="", peak_bytes=2**40, coverage=0.7, reference="c", machine=machine)
    source = directory(3, full, row("vmap", status="wrong", reason='far, "off"', rel_error=0.5, machine=machine))
    with Store(tmp_path / "h.sqlite") as store:
        run, cases = store.add(source)
        frame = store.frame()
    assert (run.commit, run.date, run.machine, run.torch, run.dirty, cases) == (
        commit(3),
        "2026-01-04T12:00:00+00:00",
        "0a1b2c3d",
        "2.13.0",
        False,
        2,
    )
    records = read_records(source)
    for column in (f.name for f in fields(Record) if f.name != "schema"):
        for kept, given in zip(frame[column], records[column], strict=True):
            assert (pd.isna(given) and pd.isna(kept)) or kept == given, column
    assert frame["peak_bytes"].iloc[0] == 2**40
    assert frame["energy_j"].isna().all()


def test_a_record_without_a_machine_has_that_of_its_run(directory, tmp_path) -> None:
    with Store(tmp_path / "h.sqlite") as store:
        store.add(directory(0, row(machine="ffffffff-00112233"), row("vmap")))
        assert list(store.frame()["machine"]) == ["ffffffff-00112233", "0a1b2c3d"]
        assert list(store.frame().columns).count("machine") == 1


def test_a_directory_whose_name_is_no_utf_8_is_taken_in(directory, tmp_path) -> None:
    with Store(tmp_path / "h.sqlite") as store:
        run, _ = store.add(directory(0, name="r\udcff"))
        assert run.source.endswith("r\udcff")
        assert len(store.frame()) == 1


def test_the_same_records_are_taken_in_once(directory, tmp_path) -> None:
    source = directory(0)
    with Store(tmp_path / "h.sqlite") as store:
        assert store.add(source) is not None
        assert store.add(source) is None
        # Another commit may give the same records to the last digit, where nothing is timed.
        assert store.add(source, commit=commit(7)) is not None
        assert len(store.frame()) == 2


def test_it_is_in_the_order_of_commits_whatever_the_order_of_adding(directory, tmp_path) -> None:
    with Store(tmp_path / "h.sqlite") as store:
        for i in (2, 0, 1):
            store.add(directory(i))
        assert list(store.frame()["commit"]) == [commit(0), commit(1), commit(2)]


def test_the_revision_stands_over_the_checkout_of_jacstrat(directory, tmp_path) -> None:
    source = directory(0, revision={"commit": commit(5), "dirty": True, "date": "2025-12-31T23:30:00-01:00"})
    assert commit_in(source) == (commit(5), "2025-12-31T23:30:00-01:00")
    with Store(tmp_path / "h.sqlite") as store:
        run, _ = store.add(source)
    assert (run.commit, run.date, run.dirty) == (commit(5), "2026-01-01T00:30:00+00:00", True)


def test_a_commit_that_is_given_stands_over_what_is_told(directory, tmp_path) -> None:
    source = directory(0, checkout={"commit": commit(0), "dirty": True})
    with Store(tmp_path / "h.sqlite") as store:
        run, _ = store.add(source, commit=commit(9), date="2026-02-01T00:00:00+00:00")
    assert (run.commit, run.date, run.dirty) == (commit(9), "2026-02-01T00:00:00+00:00", False)


def test_who_measured_what_has_to_be_told(directory, tmp_path) -> None:
    with Store(tmp_path / "h.sqlite") as store:
        with pytest.raises(JacstratError, match="does not say which commit it measured; give it with --commit"):
            store.add(directory(0, checkout=None))
        with pytest.raises(JacstratError, match="does not say when it was measured, nor git when .* was committed"):
            store.add(directory(1, start={}))
        with pytest.raises(JacstratError, match="a date must be as in ISO 8601, .* got 'yesterday'"):
            store.add(directory(2), date="yesterday")
        broken = directory(3)
        (broken / ENVIRONMENT).write_text("[1, 2")
        with pytest.raises(JacstratError, match="environment.json is not the environment of a run"):
            store.add(broken)
        assert len(store.frame()) == 0


def test_a_column_that_records_have_got_is_added_to_an_older_store(directory, tmp_path) -> None:
    file = tmp_path / "h.sqlite"
    with Store(file) as store:
        store.add(directory(0))
    old = sqlite3.connect(file)
    old.execute("ALTER TABLE results DROP COLUMN ulp_error")
    old.commit()
    old.close()
    with Store(file) as store:
        store.add(directory(1, row(ulp_error=1.5)))
        assert list(store.frame()["ulp_error"].fillna(-1)) == [-1, 1.5]


@pytest.mark.parametrize("kind", ["text", "other", "later"])
def test_a_file_that_is_no_store_is_refused_and_left_as_it_is(tmp_path, kind) -> None:
    file = tmp_path / "h.sqlite"
    if kind == "text":
        file.write_text("case,problem\n" * 200)
    else:
        other = sqlite3.connect(file)
        other.execute("CREATE TABLE mine (x)")
        other.execute(f"PRAGMA user_version = {0 if kind == 'other' else 99}")
        other.commit()
        other.close()
    before = file.read_bytes()
    with pytest.raises(JacstratError, match="name another with --store"):
        Store(file)
    assert file.read_bytes() == before


@pytest.mark.long
def test_ten_writers_at_once_lose_nothing(directory, tmp_path) -> None:
    sources = [directory(i) for i in range(10)]

    def add(source: Path) -> None:
        with Store(tmp_path / "h.sqlite") as store:
            store.add(source)
            assert store.add(source) is None

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(add, sources))
    with Store(tmp_path / "h.sqlite") as store:
        assert list(store.frame()["commit"]) == [commit(i) for i in range(10)]


def test_a_store_whose_maker_was_killed_is_made_again(directory, tmp_path, monkeypatch) -> None:
    file = tmp_path / "h.sqlite"
    with monkeypatch.context() as killed:
        killed.setattr(Store, "_columns", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            Store(file)
    # As versions before left it, which did it in several steps.
    old = sqlite3.connect(file)
    old.execute('CREATE TABLE results (run INTEGER NOT NULL REFERENCES runs, "case" TEXT)')
    old.commit()
    old.close()
    with Store(file) as store:
        assert store.add(directory(0)) is not None
        assert len(store.frame()) == 1


def test_a_store_is_read_without_being_written(directory, tmp_path) -> None:
    file = tmp_path / "h.sqlite"
    with Store(file) as store:
        store.add(directory(0))
    old = sqlite3.connect(file)
    old.execute("ALTER TABLE results DROP COLUMN ulp_error")
    old.commit()
    old.close()
    before = file.read_bytes()
    with opened(file, must_exist=True) as store:
        assert store.frame()["ulp_error"].isna().all()
    assert file.read_bytes() == before
    assert not [*tmp_path.glob("h.sqlite-*")]


def test_a_store_that_another_program_holds_is_said_to_be(directory, tmp_path, monkeypatch) -> None:
    file = tmp_path / "h.sqlite"
    with Store(file) as store:
        store.add(directory(0))
    monkeypatch.setattr("jacstrat.history.store.WAIT_S", 0.05)
    holder = sqlite3.connect(file, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    for write in (True, False):
        with pytest.raises(JacstratError, match="h.sqlite is in use by another program; try again when it has ended"):
            Store(file, write=write)
    holder.close()
    with Store(file) as store:
        assert len(store.frame()) == 1


def test_a_store_that_the_system_refuses_is_not_said_to_be_none(directory, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JacstratError, match="file/h.sqlite cannot be opened or written: .*; name another with --store"):
        Store(tmp_path / "file" / "h.sqlite")
    with Store(tmp_path / "h.sqlite") as store:
        store._db.execute("PRAGMA max_page_count = 1")
        with pytest.raises(JacstratError, match="h.sqlite cannot be opened or written: database or disk is full; name"):
            store.add(directory(0, *(row(f"s{i}") for i in range(200))))
    with Store(tmp_path / "h.sqlite") as store:
        assert len(store.frame()) == 0


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.7])
def test_a_store_that_is_cut_off_is_a_line(directory, tmp_path, share) -> None:
    file = tmp_path / "h.sqlite"
    with Store(file) as store:
        store.add(directory(0, *(row(f"s{i}") for i in range(50))))
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with (
        pytest.raises(JacstratError, match="h.sqlite (is no store of results|holds no run|has lost)"),
        opened(file, must_exist=True) as store,
    ):
        store.frame()


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("status", "fine", "status must be one of ok, wrong"),
        ("n", -4, "n must be a whole number from 1 to"),
        ("cost_ratio", "fast", "cost_ratio must be a number from 1e-21 to 1e.21, got 'fast'"),
    ],
)
def test_a_value_that_is_none_is_named(directory, tmp_path, column, value, words) -> None:
    file = tmp_path / "h.sqlite"
    with Store(file) as store:
        store.add(directory(0, row(), row("vmap")))
    spoilt = sqlite3.connect(file)
    spoilt.execute(f"UPDATE results SET {column} = ? WHERE strategy = 'vmap'", (value,))
    spoilt.commit()
    spoilt.close()
    with Store(file) as store, pytest.raises(JacstratError, match=f"h.sqlite, row 2: {words}"):
        store.frame()


def test_a_store_without_a_row_has_nothing_to_show(directory, tmp_path) -> None:
    source = directory(0)
    lines = (source / RECORDS).read_text().splitlines()
    (source / RECORDS).write_text(f"{lines[0]}\n")
    with Store(tmp_path / "h.sqlite") as store:
        store.add(source)
        with pytest.raises(
            JacstratError, match="there are no runs of a commit; `jacstrat history add DIR` takes in results"
        ):
            lines_of(store.frame(), measure_of(store.frame()))


def test_a_store_that_is_to_be_shown_must_be_there(tmp_path) -> None:
    with (
        pytest.raises(JacstratError, match="does not exist; `jacstrat history add DIR` makes it"),
        opened(tmp_path / "none.sqlite", must_exist=True),
    ):
        pass
    assert not (tmp_path / "none.sqlite").exists()


def test_a_comparison_of_revisions_has_two_directories(directory, tmp_path) -> None:
    base, new = directory(0, name="both/base"), directory(1, name="both/new")
    assert directories(tmp_path / "both") == [base, new]
    assert directories(base) == [base]
    with pytest.raises(JacstratError, match=f"has no {RECORDS}, nor a base and a new that have"):
        directories(tmp_path)


def test_json_of_the_environment_may_have_several_sessions(directory) -> None:
    source = directory(0)
    file = source / ENVIRONMENT
    (session,) = json.loads(file.read_text())
    later = {"start": session["start"] | {"checkout": {"commit": commit(1)}}}
    file.write_text(json.dumps([session, later]))
    assert commit_in(source) == (commit(1), "")
