"""Tiles of a prediction: those of the device that is planned for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jacstrat.harness.plan.predict import forecasts
from tests.harness.plan.functions import unpredictable

pytestmark = pytest.mark.long(but_one_in=2)


@pytest.mark.parametrize(
    ("problem", "operator", "strategy"),
    [("tanh_scalar", "laplacian", "taylor"), (unpredictable("three_hidden"), "divergence", "chain")],
)
def test_points_are_taken_in_the_tiles_of_the_device_that_is_planned_for(
    cell, problem: str, operator: str, strategy: str
) -> None:
    large = cell(problem, strategy, operator=operator, n=64, batch=16384, dtype="float32", device="cuda")
    few, many, many_on_cpu, in_little = (
        next(forecasts(one, memory_bytes)).prediction
        for one, memory_bytes in (
            (replace(large, batch=16), 2**36),
            (large, 2**36),
            (replace(large, device="cpu"), 2**36),
            (large, 2**30),
        )
    )
    assert few.reason == many.reason == many_on_cpu.reason == in_little.reason == ""
    assert many.aten_ops <= 3 * few.aten_ops
    assert many_on_cpu.aten_ops > 8 * many.aten_ops
    # Those of Taylor mode follow the memory that is free, those of a chain do not.
    if strategy == "taylor":
        assert many.aten_ops < in_little.aten_ops
        assert many.peak_bytes > in_little.peak_bytes
    else:
        assert many == in_little
