"""What every test shares."""

from __future__ import annotations

import os

import pytest
import torch
from hypothesis import settings

# Timing decides no test, and CI repeats what failed.
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if torch.accelerator.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="no accelerator here"))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Tests run beside each other; one thread each keeps them out of each other's way."""
    torch.set_num_threads(1)
