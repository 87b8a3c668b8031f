"""Peers' processes end with the tests that started them, and no environment of the user's is looked at."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jacstrat.peers.process import end_all


@pytest.fixture(autouse=True)
def _no_environments(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JACSTRAT_PEERS", str(tmp_path / "environments"))


@pytest.fixture(scope="package", autouse=True)
def _ended() -> Iterator[None]:
    yield
    end_all()
