"""What tests of strategies share."""

from __future__ import annotations

import pytest

from jacstrat.strategies import graphed
from tests.strategies.recorder import Recorder


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """What captures, in place of a device."""
    found = Recorder()
    monkeypatch.setattr(graphed, "backend_for", lambda device: found)
    return found
