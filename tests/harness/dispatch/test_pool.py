"""Slots: each device of a machine measures one cell at a time, all accelerators side by side."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from contextlib import closing
from dataclasses import replace

import pytest
import torch

from jacstrat.core.errors import UsageError
from jacstrat.harness.cell.outcomes import Outcome
from jacstrat.harness.cell.surroundings import surroundings
from jacstrat.harness.dispatch import pool
from jacstrat.harness.dispatch.job import Job
from jacstrat.harness.dispatch.lines import lines
from jacstrat.harness.dispatch.pool import Slots
from jacstrat.harness.dispatch.scheduler import schedule
from jacstrat.harness.plan.devices import every_device
from jacstrat.harness.plan.sweep import Grid, Sweep
from jacstrat.measure.sampling import Settings

DEVICES = ("cuda:0", "cuda:1")
SWEEP = Sweep((Grid(("sin",), ("divergence",), ("ones",), n=(2, 4), device=DEVICES, threads=(1,)),))
JOB = Job(SWEEP.cells()[0], Settings(), timeout_s=1)


@pytest.fixture(autouse=True)
def _a_machine_without_a_look_at_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "machine_here", lambda: "here")


def slots(tmp_path, devices=DEVICES) -> Slots:
    return Slots(devices, lambda case: None, tmp_path)


def on(*devices: str) -> dict[Future, Job]:
    """Jobs under way on devices."""
    return {Future(): replace(JOB, cell=replace(JOB.cell, device=device)) for device in devices}


def test_accelerators_measure_side_by_side_and_each_one_cell_at_a_time(tmp_path, monkeypatch) -> None:
    together, at_work, most = threading.Barrier(2, timeout=20), [], []

    def outcomes(job, attend, references, children):
        at_work.append(job.cell.device)
        most.append(sorted(at_work))
        together.wait()  # for the other device: alone it would never end
        together.wait()
        at_work.remove(job.cell.device)
        yield from (Outcome.of(case, "ok") for case in job.cell.cases)

    monkeypatch.setattr(pool, "outcomes", outcomes)
    with closing(slots(tmp_path)) as machine:
        rows = [
            outcome.record for outcome in schedule(lines(SWEEP.cells(), {}), JOB, machine, lambda cells, workers: None)
        ]
    assert sorted((row.device, row.n, row.machine) for row in rows) == [
        (device, n, "here") for device in DEVICES for n in (2, 4)
    ]
    assert all(len(set(devices)) == len(devices) for devices in most)
    assert list(DEVICES) in most


def test_beside_a_cell_of_the_cpu_nothing_is_measured(tmp_path) -> None:
    with closing(slots(tmp_path, ("cpu", *DEVICES))) as machine:
        assert machine.workers() == 3
        assert machine.room("cpu", {})
        assert machine.room("cuda:1", on("cuda:0"))
        assert not machine.room("cuda:0", on("cuda:0"))
        assert not machine.room("cpu", on("cuda:0"))
        assert not machine.room("cuda:0", on("cpu"))


def test_a_pool_that_is_closed_ends_what_is_under_way(tmp_path, monkeypatch) -> None:
    begun, left = threading.Event(), []

    def outcomes(job, attend, references, children):
        try:
            while True:
                attend("ones")
                begun.set()
                time.sleep(0.01)
                yield from ()
        finally:
            left.append(job.cell.device)

    monkeypatch.setattr(pool, "outcomes", outcomes)
    machine = slots(tmp_path)
    future = machine.submit(JOB, "")
    assert begun.wait(20)
    machine.close()
    assert left == ["cuda:0"]
    assert isinstance(future.exception(), pool._LeftError)


@pytest.fixture
def three_cards(monkeypatch: pytest.MonkeyPatch) -> list[int | None]:
    """A machine with three CUDA devices; those that were made the current one."""
    entered: list[int | None] = []

    class Index:
        def __init__(self, index: int | None) -> None:
            self.index = index

        def __enter__(self) -> None:
            entered.append(self.index)

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available=False: torch.device("cuda"))
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 3)
    monkeypatch.setattr(torch.accelerator, "device_index", Index)
    return entered


def test_all_devices_of_a_kind_are_named_by_their_numbers(three_cards) -> None:
    assert every_device(("cpu", "cuda:all")) == ("cpu", "cuda:0", "cuda:1", "cuda:2")
    assert every_device(("cuda:1", "cuda:all")) == ("cuda:1", "cuda:0", "cuda:2")
    assert every_device(("cuda", "cpu")) == ("cuda", "cpu")
    with pytest.raises(UsageError, match="^device xpu is not available; here: cpu, cuda:0, cuda:1, cuda:2$"):
        every_device(("xpu:all",))
    with pytest.raises(UsageError, match="^cpu:all: unknown accelerator 'cpu'"):
        every_device(("cpu:all",))


def test_a_cell_of_a_device_makes_it_the_current_one(three_cards, cell) -> None:
    with surroundings(cell("sin", device="cuda:2")):
        assert three_cards == [2]
