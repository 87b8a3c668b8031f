"""environment.json: what was written is read, older and torn files too."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jacstrat.core.environment import (
    ENVIRONMENT,
    UNKNOWN,
    Session,
    Snapshot,
    of_revision,
    read_sessions,
    write_sessions,
)
from jacstrat.core.errors import UsageError
from jacstrat.measure.environment import snapshot

RESULTS = Path(__file__).parents[2] / "results"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*"abc", "torch", "start"]), inner),
    max_leaves=10,
)


def lies_at(plain: Any, path: tuple[str, ...]) -> bool:
    for name in path:
        # A part of a machine that is not there, such as an accelerator, has no parts itself.
        if plain is None:
            return True
        if name not in plain:
            return False
        plain = plain[name]
    return True


def test_every_fact_lies_where_what_measures_puts_it() -> None:
    found = snapshot()
    plain = of_revision(found.to_json(), name="v1", commit="c", dirty=True, date="2026-01-02", is_jacstrat=False)
    plain["warnings"], plain["peers"] = ["hot"], {"folx": {"folx": "0.2.30", "python": "CPython 3.11"}}
    assert [fact.name for fact in fields(Snapshot) if not lies_at(plain, fact.metadata["path"])] == []
    told = Snapshot.of(plain)
    assert told.known
    assert (told.machine, told.torch, told.python) == (found.machine, found.torch.version, found.python)
    assert (told.utc, told.threads, told.packages) == (found.start.utc, found.torch.threads, dict(found.packages))
    assert (told.commit, told.date, told.warnings) == (("c", True), "2026-01-02", ("hot",))


def test_the_sources_of_jacstrat_are_those_of_a_revision_that_has_them() -> None:
    plain = {"checkout": {"commit": "here", "dirty": False}}
    of = {"name": "v1", "commit": "there", "dirty": True, "date": None}
    assert Snapshot.of(of_revision(plain, **of, is_jacstrat=True)).checkout == "there"
    assert Snapshot.of(of_revision(plain, **of, is_jacstrat=False)).checkout == "here"
    none = of_revision(plain, **of | {"commit": None}, is_jacstrat=True)
    assert (none["checkout"], Snapshot.of(none).commit) == (None, ("", False))


def test_accelerators() -> None:
    assert Snapshot.of({"cards": [{"name": "H100"}, {"name": None}, 3]}).accelerators == ("H100", "no name", "no name")
    assert Snapshot.of({"cards": [], "accelerator": {"kind": "xpu", "count": 2}}).accelerators == ("xpu", "xpu")
    assert Snapshot.of({"accelerator": {"kind": "mps"}}).accelerators == ("mps",)
    assert UNKNOWN.accelerators == ()


@given(JSON)
def test_whatever_a_file_holds_is_read_or_not_told(plain: Any) -> None:
    told = Snapshot.of(plain)
    assert isinstance(told.torch, str)
    assert isinstance(told.accelerators, tuple)
    if isinstance(plain, dict):
        session = Session(plain)
        assert Session(json.loads(json.dumps(session.brief().plain))).brief() == session.brief()
        assert session.end == Snapshot.of(plain.get("end"))


@pytest.mark.parametrize("strange", [None, 3, [], {}, {"hardware": 1, "torch": "2", "start": {"utc": 12}}])
def test_what_is_no_environment_tells_nothing(strange: object) -> None:
    assert Snapshot.of(strange) == UNKNOWN
    assert not UNKNOWN.known


def test_sessions_are_written_and_read(tmp_path: Path) -> None:
    assert read_sessions(tmp_path) == ()
    session = Session({"start": {"machine": "client"}}).with_worker("a-b", {"torch": {"version": "2"}})
    session = session.with_worker("c-d", {}).ended({"machine": "client", "torch": {"threads": 2}})
    write_sessions(tmp_path, [Session({"start": {"machine": "first"}}), session])
    first, read = read_sessions(tmp_path)
    assert read == session
    assert (first.start.machine, first.workers, first.end) == ("first", {}, UNKNOWN)
    assert (read.start.machine, read.end.threads, list(read.workers)) == ("client", 2, ["a-b", "c-d"])
    assert read.workers["a-b"].torch == "2"
    assert [file.name for file in tmp_path.iterdir()] == [ENVIRONMENT]


@pytest.mark.parametrize("text", ["", "[{", "3", "{}"])
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / ENVIRONMENT).write_text(text)
    with pytest.raises(UsageError, match=r"environment.json is not the environment of a run, or is cut off: .*again$"):
        read_sessions(tmp_path)


@pytest.mark.parametrize("directory", ["baseline", "reference"])
def test_what_was_kept_is_read_and_written_as_it_is(tmp_path: Path, directory: str) -> None:
    (session,) = sessions = read_sessions(RESULTS / directory)
    assert session.start.known
    write_sessions(tmp_path, sessions)
    assert (tmp_path / ENVIRONMENT).read_bytes() == (RESULTS / directory / ENVIRONMENT).read_bytes()


def test_the_baseline_is_brief(tmp_path: Path) -> None:
    (kept,) = read_sessions(RESULTS / "baseline")
    assert kept.brief() == kept
    (whole,) = read_sessions(RESULTS / "reference")
    assert whole.brief().plain["start"].keys() == kept.plain["start"].keys()
