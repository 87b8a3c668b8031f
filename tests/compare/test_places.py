"""Where records come from."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from jacstrat.compare.places import differences, place_of
from jacstrat.core.environment import UNKNOWN, Session, moment

from .conftest import HERE, environment_of


def test_the_last_session_counts_and_several_places_are_told() -> None:
    first, last = ([Session(plain) for plain in environment_of(**it)] for it in ({"machine": "old"}, {}))
    place, note = place_of([*first, *last])
    assert (place.machine, note) == ("abc", "was measured in several environments; the last one counts")
    assert place_of([*last, *last])[1] == ""
    assert place_of([]) == (UNKNOWN, "")


def test_differences_are_named_and_the_commit_is_none() -> None:
    big = {"processor": "Big", "logical_cores": 64, "cards": ({"name": "H100"},)}
    other = replace(HERE, machine="def", **big, torch="2.10", checkout="1234")
    assert list(differences(HERE, other)) == [
        "machine CPU, 2 cores (abc) against Big, 64 cores (def)",
        "accelerator none against H100",
        "torch 2.9.0+cpu against 2.10",
    ]
    assert list(differences(HERE, replace(HERE, checkout="1234", utc="2026-01-02T03:04:05"))) == []


def test_moments() -> None:
    assert moment("2026-01-02T03:04:05") == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert moment("2026-01-02T03:04:05+01:00") == datetime(2026, 1, 2, 2, 4, 5, tzinfo=UTC)
    assert moment("noon") is moment("") is moment("0001-01-01T00:00:00+14:00") is None
