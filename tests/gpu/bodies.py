"""What is asked of a device, whichever it is: on a card by the tests beside this, on the CPU by test_bodies.py."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from math import sqrt
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import Tensor

from jacstrat import parse_strategy
from jacstrat.measure.card import DeviceSource, DeviceState
from jacstrat.measure.cooling import COOLER_C, Cooling
from jacstrat.record import Record
from jacstrat.records import read_records

WIDTHS = {"laplacian": (5, 16, 16, 1), "divergence": (5, 16, 16, 16, 5)}
BATCH = 33
# Largest error relative to the largest number: of a dtype, and of products of TF32.
TOLERANCES = {torch.float32: 2e-5, torch.float64: 1e-12, torch.bfloat16: 0.2}
TF32_TOLERANCE = 2e-2
# Each with the operators that it serves.
FUSED = [
    ("fused", ("laplacian", "divergence")),
    *((f"fused:products={products}", ("laplacian", "divergence")) for products in ("ieee", "tf32x3", "tf32")),
    ("fused:tile=16", ("laplacian", "divergence")),
    ("fused:tile=64", ("laplacian", "divergence")),
]
GRAPHED = [
    ("graphed(fused)", ("laplacian", "divergence")),
    ("graphed(chain)", ("divergence",)),
    ("graphed(taylor)", ("laplacian",)),
]
COMPILED = [
    ("compiled(vmap)", ("laplacian", "divergence")),
    ("compiled(taylor)", ("laplacian",)),
    ("compiled(chain)", ("divergence",)),
    ("graphed(compiled(taylor))", ("laplacian",)),
    ("graphed(compiled(chain))", ("divergence",)),
]


def each(table: list[tuple[str, tuple[str, ...]]]) -> list[tuple[str, str]]:
    """Spec and operator of each test."""
    return [(spec, operator) for spec, operators in table for operator in operators]


def network(operator: str, dtype: torch.dtype, device: str) -> tuple[Callable[[Tensor], Tensor], list[Tensor], Tensor]:
    """A tanh network, its weights and points, the same numbers on every device."""
    generator = torch.Generator().manual_seed(0)

    def numbers(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    widths = WIDTHS[operator]
    drawn = [numbers(*shape) / sqrt(m) for m, k in pairwise(widths) for shape in ((k, m), (k,))]
    # As the dtype holds them: what is rounded there is no error of the strategy.
    weights = [one.to(dtype).to(device).requires_grad_() for one in drawn]
    x = numbers(BATCH, widths[0]).to(dtype).to(device)

    def f(x: Tensor) -> Tensor:
        for layer in range(0, len(weights), 2):
            x = torch.nn.functional.linear(x if layer == 0 else x.tanh(), weights[layer], weights[layer + 1])
        return x.squeeze(-1) if operator == "laplacian" else x

    return f, weights, x


def agrees(spec: str, operator: str, dtype: torch.dtype, device: str) -> None:
    """Values at two sets of points, and a gradient, against one vector after the other in float64 on the CPU."""
    f, weights, x = network(operator, dtype, device)
    truth_of, parameters, _ = network(operator, dtype, "cpu")
    with torch.no_grad():
        for one in parameters:
            one.data = one.data.double()
    tolerance = TF32_TOLERANCE if spec.endswith("products=tf32") else TOLERANCES[dtype]
    evaluate = parse_strategy(spec).prepare(operator, f, x)
    plain = parse_strategy("identity").prepare(operator, truth_of, x.cpu().double())
    for points in (x, x.flip(0)):
        expected = plain(points.cpu().double())
        with torch.no_grad():
            result = evaluate(points)
        assert (result.dtype, result.device.type) == (dtype, torch.device(device).type)
        assert _error(result, expected) < tolerance
    found = torch.autograd.grad(evaluate(x).square().mean(), weights, allow_unused=True)
    truth = torch.autograd.grad(plain(x.cpu().double()).square().mean(), parameters, allow_unused=True)
    for mine, its in zip(found, truth, strict=True):
        if its is not None and its.any():  # the last bias has none
            assert mine is not None
            assert _error(mine, its) < 10 * tolerance


def _error(found: Tensor, expected: Tensor) -> float:
    return float((found.detach().cpu().double() - expected.detach()).abs().max() / expected.detach().abs().max())


def cold_calls_are_the_numbers(record: Record) -> None:
    """Of a row of `--cache cold`."""
    assert (record.status, record.cache, record.warm_s) == ("ok", "cold", None)
    assert record.median_s == record.cold_s
    assert (record.median_s or 0) > 0
    # A cold call less the kernels of warm ones is no gap.
    assert record.gap_s is None


def kernels_are_told(record: Record) -> None:
    """Of a row of warm calls, on a device that torch's profiler knows."""
    assert (record.kernels or 0) > 1
    assert record.kernel_s is not None
    assert record.warm_s is not None
    assert 0 < record.kernel_s < 1.2 * record.warm_s
    assert record.gap_s == max(record.warm_s - record.kernel_s, 0.0)


def rests_until_it_is_cooler(card: DeviceSource) -> None:
    """A card that is not hot now, behind a block that ended hotter than it is: it rests for one look."""
    now = card.state()
    before_c = None if now.temperature_c is None else now.temperature_c + COOLER_C + 20
    waits: list[float] = []
    beats: list[int] = []
    cooling = Cooling(card, waits.append)
    cooling.rest(DeviceState(temperature_c=before_c, reasons=()), lambda: beats.append(1))
    assert waits == []
    cooling.rest(DeviceState(temperature_c=before_c, reasons=("hw_thermal_slowdown",)), lambda: beats.append(1))
    assert len(waits) == len(beats) == 1


def run(out: Path, device: str, *options: str) -> tuple[pd.DataFrame, str]:
    """The records of `jacstrat run` on a device, and what it says on standard error."""
    given = ["--device", device, "--sample", "0.05", "--timeout", "120", "--dtype", "float32", "--out", str(out)]
    command = [sys.executable, "-m", "jacstrat", "run", *options, *given]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not (out / "records.csv").exists():
        pytest.fail(done.stderr)
    return read_records(out), done.stderr


def every_device_has_each_case(out: Path, asked: str, devices: list[str]) -> None:
    """`--device cuda:all`, or another, in one command."""
    found, told = run(
        out, asked, "-p", "sin", "-o", "divergence", "-s", "vmap", "-s", "ones", "-n", "4", "--batch", "2"
    )
    assert (found["status"] == "ok").all(), told
    expected = sorted((device, strategy) for device in devices for strategy in ("vmap", "ones"))
    assert sorted(zip(found["device"], found["strategy"], strict=True)) == expected
