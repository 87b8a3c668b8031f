"""The suites measure on one thread count and put what a case is, counts and errors beside its time."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    # Blocks and medians as the harness has them; a collection inside a block is nobody's time.
    config.option.benchmark_disable_gc = True
    config.option.benchmark_warmup = "on"
    # Seconds a case; pytest-benchmark's own second a case makes minutes of the quick sweep.
    config.option.benchmark_max_time = 0.2
