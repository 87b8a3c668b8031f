"""What tests of traces share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jacstrat.trace.cache import SHARED
from tests.trace import changes


@pytest.fixture(autouse=True)
def _nothing_shared() -> Iterator[None]:
    """No tape of another test is found, nor one of this left to others."""
    SHARED.forget()
    yield
    SHARED.forget()


@pytest.fixture
def _put_back() -> Iterator[None]:
    """What the changes change for all."""
    yield
    changes.put_back()
