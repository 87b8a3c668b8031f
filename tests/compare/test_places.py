"""Where records come from."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from jacstrat.compare.places import UNKNOWN, Place, differences, moment, place_of, place_of_sessions
from jacstrat.measure.environment import snapshot

from .conftest import HERE, environment_of


def test_a_real_environment_is_a_known_place() -> None:
    found = snapshot()
    place = place_of(found.to_json())
    assert place.known
    assert (place.machine, place.torch, place.python) == (found.machine, found.torch.version, found.python)
    assert place.utc is not None
    assert place.hardware
    assert list(differences(place, place)) == []


def test_the_parts_of_an_environment() -> None:
    (session,) = environment_of(cards=[{"name": "H100"}], accelerator={"kind": "cuda"})
    assert place_of(session["start"]) == Place(
        machine="abc",
        hardware="CPU, 2 cores",
        accelerator="H100",
        torch="2.9.0+cpu",
        python="CPython 3.11",
        utc=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        commit="0123456789ab with changes",
    )


@pytest.mark.parametrize("strange", [None, 3, [], {}, {"hardware": 1, "torch": "2", "start": {"utc": "noon"}}])
def test_what_is_no_environment_is_an_unknown_place(strange: object) -> None:
    assert place_of(strange) == UNKNOWN
    assert not UNKNOWN.known


def test_the_last_session_counts_and_several_places_are_told() -> None:
    first, last = environment_of(machine="old"), environment_of()
    place, note = place_of_sessions([*first, *last])
    assert (place.machine, note) == ("abc", "was measured in several environments; the last one counts")
    assert place_of_sessions([*last, *last])[1] == ""
    assert place_of_sessions([]) == (UNKNOWN, "")


def test_differences_are_named_and_the_commit_is_none() -> None:
    other = replace(HERE, machine="def", hardware="Big, 64 cores", accelerator="H100", torch="2.10", commit="1234")
    assert list(differences(HERE, other)) == [
        "machine CPU, 2 cores (abc) against Big, 64 cores (def)",
        "accelerator none against H100",
        "torch 2.9.0+cpu against 2.10",
    ]
    assert list(differences(HERE, replace(HERE, commit="1234", utc=datetime.now(UTC)))) == []


def test_moments() -> None:
    assert moment("2026-01-02T03:04:05") == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert moment("2026-01-02T03:04:05+01:00") == datetime(2026, 1, 2, 2, 4, 5, tzinfo=UTC)
    assert moment("noon") is moment(None) is None
