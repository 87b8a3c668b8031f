"""Cold and warm, and what a device did, in the rows of a cell: on the CPU, and on a device that is told."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from jacstrat.harness.cell import cell_context, measuring, profiling, traces
from jacstrat.harness.cell.instruments import Instruments
from jacstrat.harness.cell.traces import trace_file
from jacstrat.measure import torch_device
from jacstrat.measure.activity import Activity
from jacstrat.measure.card import DeviceState
from jacstrat.measure.device_clock import DeviceClock
from jacstrat.measure.roofline import Peaks
from tests.harness.conftest import QUICK
from tests.measure.fakes import FakeAccelerator


@pytest.fixture(autouse=True)
def small_cache(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch_device, "last_cache_bytes", lambda: 2**16)
    torch_device.waste.cache_clear()
    yield
    torch_device.waste.cache_clear()


@pytest.fixture(autouse=True)
def rates(monkeypatch: pytest.MonkeyPatch) -> Peaks:
    found = Peaks(flops_per_s=1e9, bytes_per_s=1e8)
    monkeypatch.setattr(cell_context, "peaks_of", lambda cell, cache, beat: found)
    return found


def outcomes(cell, *caches: str, **options):
    return list(measuring.measure(cell, replace(QUICK, caches=caches), **options))


@pytest.mark.parametrize("caches", [("warm",), ("cold",), ("cold", "warm"), ("warm", "cold")])
def test_the_first_cache_is_that_of_the_numbers_and_each_has_its_column(cell, caches: tuple[str, ...]) -> None:
    found = outcomes(cell("sin", "ones", "vmap"), *caches)
    assert {o.case.split("/")[2] for o in found} == {"f", "ones", "vmap"}
    for record in (o.record for o in found if o.record):
        assert record.status == "ok"
        assert record.cache == caches[0]
        medians = {"cold": record.cold_s, "warm": record.warm_s}
        assert medians[caches[0]] == record.median_s
        assert [name for name, median in medians.items() if median is not None] == sorted(caches)
    samples = {o.case.split("/")[2]: o.samples for o in found}
    for name in ("ones", "vmap"):
        beside = samples[name]["beside"]
        assert [*beside] == [*caches[1:]]
        for raw in beside.values():  # sampled in the same rounds
            assert set(raw["rounds"]) & set(samples["f"]["rounds"])
            assert raw["session"] == samples["f"]["session"]


def test_a_row_has_what_it_computes_and_moves_over_the_measured_rates(cell, rates: Peaks) -> None:
    (row,) = (o.record for o in outcomes(cell("tanh_scalar", "taylor", operator="laplacian"), "warm") if o.record)
    assert row.compute_s == row.flops / 1e9
    assert row.memory_s == row.moved_bytes / 1e8
    # n = 3, B = 2, layers of 64: points and a trace each, 3 x 64 + 2 x 64 x 64 + 64 weights, in float64.
    assert row.best_bytes == 8 * (2 * (3 + 1) + 3 * 64 + 2 * 64**2 + 64)
    assert row.light_s == max(row.best_flops / 1e9, row.best_bytes / 1e8)
    assert row.over_light == row.median_s / row.light_s
    assert (row.kernels, row.kernel_s, row.gap_s) == (None, None, None)


def test_an_elementwise_field_moves_bytes_and_has_no_light(cell) -> None:
    (row,) = (o.record for o in outcomes(cell("sin", "ones", n=4, batch=8), "warm") if o.record)
    assert (row.flops, row.compute_s, row.light_s, row.over_light) == (0, 0, None, None)
    # At least the points are read and the result is written.
    assert row.moved_bytes >= 8 * (8 * 4 + 8)


def test_counts_alone_have_no_rates(cell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        cell_context, "peaks_of", lambda cell, cache, beat: pytest.fail("rates differ from machine to machine")
    )
    (row,) = (o.record for o in measuring.measure(cell("sin", "ones"), None) if o.record)
    assert row.moved_bytes > 0
    assert (row.compute_s, row.memory_s, row.cache, row.warm_s) == (None, None, "", None)


def test_each_case_has_a_trace_of_its_own_where_it_is_asked_for(cell, tmp_path: Path) -> None:
    found = outcomes(cell("sin", "ones", "hessian"), "warm", traces=tmp_path)
    (ok,) = (o.record for o in found if o.record and o.record.status == "ok")
    assert [*tmp_path.iterdir()] == [trace_file(tmp_path, ok.case)]


def test_names_of_traces_are_readable_and_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "../mine.py:f/laplacian/compiled(taylor)/n=4/batch=1/float64/cuda:1/train/threads=1/seed=0"
    name = trace_file(tmp_path, key).name
    assert name.startswith("mine.py-f-laplacian-compiled-taylor-n=4-batch=1-float64-cuda-1-train-threads=1-seed=0-")
    assert name.endswith(".json.gz")
    assert name != trace_file(tmp_path, key.replace("(", "[").replace(")", "]")).name
    assert len(trace_file(tmp_path, "x" * 5000).name) <= traces.MOST + 17


class Card:
    def state(self) -> DeviceState:
        return DeviceState(sm_clock_mhz=1410, temperature_c=50, reasons=())

    def energy_j(self) -> None:
        return None


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> FakeAccelerator:
    """The cell's device: a fake one, on which f and the strategies cost one launch each; a profiler that is told."""
    fake = FakeAccelerator()
    made = []

    def instruments_for(device: str, caches, energy: bool):
        made[:] = [DeviceClock(fake, lambda: fake.now_ns, cache) for cache in caches]
        fake.log.clear()
        return nullcontext(Instruments(made[0], Card(), dict(zip(caches[1:], made[1:], strict=True))))

    enter = measuring.prepare_case

    def entering(case, setup, attend):
        prepared = enter(case, setup, attend)
        return replace(prepared, work=fake.work(200_000))

    monkeypatch.setattr(cell_context, "instruments_for", instruments_for)
    monkeypatch.setattr(measuring, "prepare_case", entering)
    return fake


def test_clock_and_temperature_go_with_each_sample_of_a_device(cell, device: FakeAccelerator) -> None:
    found = outcomes(cell("sin", "ones"), "cold", "warm")
    raw = {o.case.split("/")[2]: o.samples for o in found}["ones"]
    assert raw["sm_clock_mhz"] == [1410] * len(raw["rounds"])
    assert raw["temperature_c"] == [50] * len(raw["rounds"])
    assert raw["waits"] is False
    (row,) = (o.record for o in found if o.record)
    # A launch of 10 us and 200 us of work, each by itself; warm, launches hide behind the work of the call before.
    assert row.cold_s == row.median_s == pytest.approx(210e-6, rel=1e-9)
    assert 200e-6 < row.warm_s < 210e-6


def test_what_the_profiler_saw_is_in_the_row_and_one_that_fails_takes_none_away(
    cell, device: FakeAccelerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    monkeypatch.setattr(
        measuring, "_activity", lambda context, prepared, call_s: order.append("seen") or Activity(7, 150e-6)
    )
    wait = DeviceClock.waits
    monkeypatch.setattr(DeviceClock, "waits", lambda self, work: order.append("waits") or wait(self, work))
    rows = [o.record for o in outcomes(cell("sin", "ones", "vmap"), "warm") if o.record]
    assert [(row.kernels, row.kernel_s) for row in rows] == [(7, 150e-6)] * 2
    assert [row.gap_s for row in rows] == [row.median_s - 150e-6 for row in rows]
    # Behind all that is timed, for all strategies.
    assert order == ["waits", "waits", "seen", "seen"]


@pytest.mark.parametrize("caches", [("cold",), ("cold", "warm"), ("warm", "cold")])
def test_a_gap_is_that_of_warm_calls_which_the_profiler_sees(
    cell, device: FakeAccelerator, monkeypatch: pytest.MonkeyPatch, caches: tuple[str, ...]
) -> None:
    monkeypatch.setattr(measuring, "_activity", lambda context, prepared, call_s: Activity(7, 150e-6))
    (row,) = (o.record for o in outcomes(cell("sin", "ones"), *caches) if o.record)
    assert (row.kernels, row.kernel_s) == (7, 150e-6)
    if "warm" in caches:
        assert row.gap_s == row.warm_s - 150e-6
        assert row.gap_s < row.cold_s - 150e-6
    else:
        assert row.gap_s is None


def test_a_profiler_that_fails_leaves_its_columns_empty(cell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def failing(*_: object) -> None:
        raise RuntimeError("CUPTI is in use")

    monkeypatch.setattr(profiling, "observed", failing)
    (row,) = (o.record for o in outcomes(cell("sin", "ones"), "warm", traces=tmp_path) if o.record)
    assert (row.status, row.kernels) == ("ok", None)
    assert row.median_s > 0


def test_a_replay_has_both_caches_too(cell, monkeypatch: pytest.MonkeyPatch) -> None:
    replayed = []

    def captured(work, device):
        work()
        return lambda: replayed.append(1)

    monkeypatch.setattr("jacstrat.harness.cell.setup.captured", captured)
    (row,) = (o.record for o in outcomes(cell("sin", "vmap", workload="replay"), "cold", "warm") if o.record)
    assert row.cold_s > 0 < row.warm_s
    assert replayed
