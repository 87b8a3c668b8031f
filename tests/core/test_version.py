"""The version of the package, installed or not."""

import importlib.metadata

import pytest

from jacstrat.core import version


def test_the_version_is_that_of_the_installation_or_below_every_release(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(version, "version", lambda name: {"jacstrat": "0.2.0"}[name])
    assert version.read_version() == "0.2.0"

    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(version, "version", missing)
    assert version.read_version() == version.UNKNOWN == "0.0"
