"""A cell and a run on the accelerator: every case a row, with what was measured on the device."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from jacstrat.harness.cell.measuring import measure
from jacstrat.harness.cell.outcomes import Outcome
from jacstrat.harness.plan.cases import Cell
from jacstrat.harness.plan.precision import missing_tf32
from jacstrat.measure.sampling import Settings
from jacstrat.record import Record
from jacstrat.records import read_records
from jacstrat.report.analysis.bound import bound_of
from tests.gpu import bodies

pytestmark = pytest.mark.gpu

SETTINGS = Settings(limit_s=0.2)


def cell(problem: str, operator: str, device: str, workload: str) -> Cell:
    return Cell(
        problem,
        operator,
        n=16,
        batch=64,
        dtype="float32",
        device=device,
        workload=workload,
        threads=torch.get_num_threads(),
        seed=0,
        strategies=("identity", "vmap", "jvp"),
    )


def records(outcomes: Iterable[Outcome]) -> list[Record]:
    return [outcome.record for outcome in outcomes if outcome.record]


@pytest.mark.parametrize("workload", ["evaluate", "train"])
@pytest.mark.parametrize(("problem", "operator"), [("tanh_field", "divergence"), ("tanh_scalar", "laplacian")])
def test_every_case_is_measured(problem: str, operator: str, device: str, workload: str) -> None:
    found = records(measure(cell(problem, operator, device, workload), SETTINGS))
    assert [(record.status, record.reason) for record in found] == [("ok", "")] * 3
    for record in found:
        assert record.device == device
        assert record.median_s is not None
        assert 0 < record.median_s < 1
        assert record.peak_bytes is not None
        assert record.peak_bytes > 0
        assert record.cost_ratio is not None
        assert record.cost_ratio > 1


def test_both_caches_and_what_the_device_did_are_in_the_row(device: str) -> None:
    settings = Settings(limit_s=0.2, caches=("warm", "cold"))
    for record in records(measure(cell("tanh_scalar", "laplacian", device, "evaluate"), settings)):
        assert (record.status, record.cache) == ("ok", "warm")
        assert record.median_s == record.warm_s
        assert record.cold_s is not None
        assert record.cold_s > 0
        if record.kernels is not None:
            assert record.kernels > 1
            assert 0 < (record.kernel_s or 0) < record.cold_s
        assert (record.over_light or 0) > 1


def test_cold_calls_alone_are_the_numbers_where_they_are_asked_for(device: str) -> None:
    found = records(measure(cell("tanh_scalar", "laplacian", device, "evaluate"), replace(SETTINGS, caches=("cold",))))
    assert len(found) == 3
    for record in found:
        bodies.cold_calls_are_the_numbers(record)


def test_kernels_and_gaps_are_told_and_a_loop_is_bound_by_its_launches(device: str) -> None:
    if device != "cuda":
        pytest.skip(f"torch's profiler may see nothing of {device}")
    found = {r.strategy: r for r in records(measure(cell("tanh_scalar", "laplacian", device, "evaluate"), SETTINGS))}
    for record in found.values():
        bodies.kernels_are_told(record)
    assert (found["identity"].kernels or 0) > 4 * (found["vmap"].kernels or 0)
    assert bound_of(found["identity"]) == "launch"


def test_every_card_measures_each_case_in_one_command(device: str, tmp_path: Path) -> None:
    if device != "cuda":
        pytest.skip("all cards of a machine are cuda:all")
    devices = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    bodies.every_device_has_each_case(tmp_path, "cuda:all", devices)


LOSES = """
import torch

def loses(x):
    # An index beyond the end is an assert on the device, after which the context is gone.
    far = torch.full((1,), 10**6, device=x.device)
    return x * x.flatten().index_select(0, far) if torch.is_grad_enabled() else x * x
"""


def test_a_lost_context_is_a_crash_and_the_next_cell_is_measured(device: str, tmp_path: Path) -> None:
    if device != "cuda":
        pytest.skip("an assert on the device is CUDA's")
    mine = tmp_path / "mine.py"
    mine.write_text(LOSES)
    selection = ["-p", f"{mine}:loses", "-p", "sin", "-o", "divergence", "-s", "vmap", "-n", "4", "--batch", "2"]
    options = ["--dtype", "float32", "--device", device, "--sample", "0.05", "--timeout", "120"]
    command = [sys.executable, "-m", "jacstrat", "run", *selection, *options, "--out", str(tmp_path / "out")]
    subprocess.run(command, capture_output=True, text=True, check=False)
    found = read_records(tmp_path / "out").set_index("problem")
    assert found.loc["sin", "status"] == "ok"
    assert found.loc[f"{mine}:loses", "status"] == "crashed"
    assert "ended the device's context" in found.loc[f"{mine}:loses", "reason"]


def test_a_process_without_children_that_has_lost_its_device_says_so_and_skips_the_rest(
    device: str, tmp_path: Path
) -> None:
    if device != "cuda":
        pytest.skip("an assert on the device is CUDA's")
    mine = tmp_path / "mine.py"
    mine.write_text(LOSES)
    selection = ["-p", f"{mine}:loses", "-p", "sin", "-o", "divergence", "-s", "vmap", "-n", "4", "--batch", "2"]
    found, told = bodies.run(tmp_path / "out", device, *selection, "--no-isolation")
    by_problem = found.set_index("problem")
    assert by_problem.loc[f"{mine}:loses", "status"] == "crashed"
    assert by_problem.loc["sin", "status"] == "skipped"
    assert "only another one can go on" in by_problem.loc["sin", "reason"]
    assert sum("ended the context of" in line for line in told.splitlines()) == 1


def test_tf32_rounds_and_float32_does_not(device: str) -> None:
    """Or the cases are skipped, where the device has no TF32."""
    float32 = cell("tanh_scalar", "laplacian", device, "evaluate")
    tf32 = replace(float32, dtype="tf32")
    rounded = records(measure(tf32, SETTINGS))
    if (reason := missing_tf32(device)) is not None:
        assert [(record.status, record.reason) for record in rounded] == [("skipped", reason)] * 3
        return
    exact = records(measure(float32, SETTINGS))
    assert {record.status for record in (*exact, *rounded)} == {"ok"}
    # Two roundings to 11 bits a product against two to 24: a factor of 8192, of which a hundredth is asked.
    for before, after in zip(exact, rounded, strict=True):
        assert (before.rel_error or 0) < 1e-5
        assert (after.rel_error or 0) > 80 * (before.rel_error or 0)


def test_a_run_on_the_device_ends_with_its_report(device: str, tmp_path: Path) -> None:
    """In children of a fork server, each of which starts the device for itself."""
    selection = ["-p", "tanh_field", "-o", "divergence", "-s", "vmap", "-s", "ones", "-n", "4,8", "--batch", "16"]
    options = ["--dtype", "float32", "--device", device, "--sample", "0.05", "--timeout", "120", "--out", str(tmp_path)]
    command = [sys.executable, "-m", "jacstrat", "run", *selection, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = read_records(tmp_path)
    assert list(zip(found["strategy"], found["n"], found["status"], strict=True)) == [
        ("vmap", 4, "ok"),
        ("ones", 4, "wrong"),
        ("vmap", 8, "ok"),
        ("ones", 8, "wrong"),
    ]
    assert (found["median_s"] > 0).all()
    assert "4 cases" in done.stdout
