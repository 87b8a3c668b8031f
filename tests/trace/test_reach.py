"""What a function reaches: all that can be looked at, and a word in the log of what cannot."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from torch import nn

from jacstrat.trace.reach import Walk


class Secretive(type):
    """Of classes that do not say what they derive from."""

    @property
    def __mro__(cls) -> Any:
        raise RuntimeError("no business of yours")


class Hidden(metaclass=Secretive):
    """An object that cannot be looked at."""


def test_what_cannot_be_looked_at_hides_nothing_else_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    hidden, numbers = Hidden(), [1.5, 2.5]
    with caplog.at_level(logging.DEBUG, logger="jacstrat"):
        reads = Walk().run(lambda: (hidden, numbers))
    assert 2.5 in [read.value for read in reads]
    (record,) = caplog.records
    assert "Hidden" in record.getMessage()
    assert "is guarded" in record.getMessage()
    assert record.exc_info is not None


def test_nothing_is_logged_of_what_is_plain(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="jacstrat"):
        Walk().run(nn.Sequential(nn.Linear(2, 2), nn.Tanh()))
    assert caplog.records == []
