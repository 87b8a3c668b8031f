"""What is asked of a card, asked of the CPU: captures and compilers are stand-ins there, kernels are interpreted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from jacstrat.core.case import Case
from jacstrat.fused import has_triton
from jacstrat.harness.cell.measuring import measure
from jacstrat.measure.card import DeviceState
from jacstrat.measure.sampling import Settings
from jacstrat.record import Record
from jacstrat.strategies import graphed
from tests.gpu import bodies
from tests.gpu.test_cell import cell
from tests.strategies.recorder import Recorder


@pytest.fixture(autouse=True)
def _stand_ins(monkeypatch: pytest.MonkeyPatch, interpreted: list[object]) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setattr(graphed, "backend_for", lambda device: Recorder())


@pytest.mark.long(but_one_in=2)
@pytest.mark.parametrize(
    ("spec", "operator"),
    # Each kind once: all of them are the matter of tests/fused and tests/strategies.
    [
        ("fused", "divergence"),
        ("fused:products=tf32", "laplacian"),
        ("graphed(chain)", "divergence"),
        ("compiled(taylor)", "laplacian"),
        ("graphed(compiled(chain))", "divergence"),
    ],
)
def test_specs_agree_with_float64(spec: str, operator: str) -> None:
    if "fused" in spec and not has_triton():
        pytest.skip("Triton is not installed")
    assert (spec, operator) in bodies.each([*bodies.FUSED, *bodies.GRAPHED, *bodies.COMPILED])
    bodies.agrees(spec, operator, torch.float32, "cpu")


def test_a_strategy_that_is_wrong_does_not_agree() -> None:
    with pytest.raises(AssertionError):
        bodies.agrees("ones", "divergence", torch.float64, "cpu")


@pytest.mark.long
def test_cold_calls_are_the_numbers() -> None:
    settings = Settings(limit_s=0.02, warmup_s=0.01, caches=("cold",))
    rows = [o.record for o in measure(cell("tanh_scalar", "laplacian", "cpu", "evaluate"), settings) if o.record]
    for row in rows:
        bodies.cold_calls_are_the_numbers(row)
    assert len(rows) == 3


def test_kernels_are_told() -> None:
    row = Record.of(Case("p", "divergence", "vmap", 4, 2, "float32", "cuda", "evaluate", 1, 0), "ok")
    told = {"warm_s": 50e-6, "kernels": 3, "kernel_s": 20e-6, "gap_s": 50e-6 - 20e-6}
    bodies.kernels_are_told(replace(row, **told))
    for wrong in ({"gap_s": 20e-6}, {"kernels": 1}, {"kernel_s": 80e-6}):
        with pytest.raises(AssertionError):
            bodies.kernels_are_told(replace(row, **told | wrong))


class Card:
    def state(self) -> DeviceState:
        return DeviceState(temperature_c=41, reasons=("idle",))

    def energy_j(self) -> None:
        return None


def test_a_card_rests() -> None:
    bodies.rests_until_it_is_cooler(Card())


@pytest.mark.long
def test_every_device_has_each_case(tmp_path: Path) -> None:
    bodies.every_device_has_each_case(tmp_path, "cpu", ["cpu"])
