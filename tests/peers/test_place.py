"""Where a library is, and what is said where it is not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from jacstrat import UsageError
from jacstrat.peers import Place
from jacstrat.peers.__main__ import main
from jacstrat.peers.place import environments
from jacstrat.strategies.base import Strategy

from .toy import HERE_PLACE, NOWHERE


def test_a_library_of_this_python_needs_no_environment() -> None:
    assert HERE_PLACE.interpreter() == sys.executable
    assert HERE_PLACE.missing() is None
    assert set(HERE_PLACE.software()) == {"numpy", "python"}


def test_an_environment_of_its_own_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JACSTRAT_PEERS", str(tmp_path))
    python = tmp_path / "toy" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    assert HERE_PLACE.interpreter() == NOWHERE.interpreter() == str(python)


def test_one_that_is_missing_says_what_installs_it() -> None:
    assert NOWHERE.missing() == "toy is not installed; run `python -m jacstrat.peers toy`"
    assert NOWHERE.software() == {}


def test_environments_are_in_the_users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JACSTRAT_PEERS")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert environments() == Path("/cache/jacstrat/peers")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/one")
    assert environments() == Path("/home/one/.cache/jacstrat/peers")


def test_an_environment_needs_a_python_that_runs_and_is_new_enough(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="/no/such/python does not run; name a Python for toy by --python"):
        NOWHERE.make("/no/such/python")
    newer = Place("toy", "numpy", tmp_path / "pins.txt", (99, 0))
    with pytest.raises(UsageError, match=r"toy needs Python 99\.0 or newer, and .* is 3\.\d+; name one by --python"):
        newer.make(sys.executable)
    with pytest.raises(UsageError, match=r"python99\.0 does not run"):
        newer.make()


def test_the_command_makes_those_that_are_registered(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["nobody"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("jacstrat.peers: unknown peer 'nobody'; ")


@pytest.mark.parametrize(
    ("registered", "told"),
    [
        ({}, "deepxde is not installed; run `pip install ./peers/jacstrat-recipes` in a checkout of jacstrat"),
        ({"deepxde": Strategy}, "deepxde has no environment of its own; it is installed, and works in this process"),
    ],
)
def test_a_peer_that_has_no_environment_says_why(
    registered: dict, told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jacstrat.peers.__main__.STRATEGIES", registered)
    with pytest.raises(SystemExit) as ended:
        main(["deepxde"])
    assert (ended.value.code, capsys.readouterr().err) == (2, f"jacstrat.peers: {told}\n")
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "Installed: none. See docs/peers.md." in capsys.readouterr().out
