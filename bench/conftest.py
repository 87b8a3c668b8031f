"""The suites measure on one thread count and put what a case is, counts and errors beside its time."""

from __future__ import annotations

from typing import Any

import pytest

from jacstrat.compare.inputs import PLACE_KEY
from jacstrat.core.environment import STABLE_FACTS
from jacstrat.measure.environment import snapshot


def pytest_configure(config: pytest.Config) -> None:
    # Blocks and medians as the harness has them; a collection inside a block is nobody's time.
    config.option.benchmark_disable_gc = True
    config.option.benchmark_warmup = "on"
    # Seconds a case; pytest-benchmark's own second a case makes minutes of the quick sweep.
    config.option.benchmark_max_time = 0.2


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    # What `jacstrat compare` reads of the environment. What moves is left out: `--benchmark-compare` warns of a machine
    # whenever anything of its description differs.
    environment = snapshot().to_json()
    machine_info[PLACE_KEY] = {name: environment[name] for name in STABLE_FACTS}
