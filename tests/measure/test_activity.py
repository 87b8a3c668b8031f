"""What a device did, from the events of a profiler that the test tells; and a trace of the host by torch's own."""

from __future__ import annotations

import gzip
import json
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch._C._autograd import DeviceType
from torch.profiler import ProfilerActivity

from jacstrat.measure import ranges as ranges_module
from jacstrat.measure.activity import CALLS, Activity, activity, observed
from jacstrat.measure.ranges import ranges_for

CUDA = torch.device("cuda", 0)


def test_time_in_kernels_is_that_in_which_any_runs() -> None:
    # Two that overlap on two streams, a gap, one within another, and two that touch.
    spans = [(0.0, 2.0), (1.0, 3.0), (5.0, 9.0), (6.0, 7.0), (9.0, 10.0)]
    assert activity(spans, 1) == Activity(kernels=5, kernel_s=8.0)
    assert activity([*spans, *((a + 100, b + 100) for a, b in spans)], 2) == Activity(5, 8.0)


def test_a_device_that_did_nothing_tells_nothing() -> None:
    assert activity([], 3) is None


def test_calls_that_did_not_run_alike_tell_nothing() -> None:
    assert activity([(1, 2), (3, 4), (5, 6), (7, 8), (9, 10)], 3) is None


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=20))
def test_time_in_kernels_is_the_length_of_their_union(lengths: list[tuple[int, int]]) -> None:
    spans = [(float(begin), float(begin + length)) for begin, length in lengths]
    found = activity(spans, 1)
    assert found is not None
    moments = {m for begin, length in lengths for m in range(begin, begin + length)}
    assert found == Activity(len(spans), float(len(moments)))


def event(begin_us: float, end_us: float, kind: DeviceType = DeviceType.CUDA, is_user_annotation: bool = False):
    times = SimpleNamespace(start=begin_us, end=end_us)
    return SimpleNamespace(device_type=kind, time_range=times, is_user_annotation=is_user_annotation)


class FakeProfiler:
    """torch.profiler.profile, whose events are told; every step is written down in `log`."""

    def __init__(self, log: list[str], *events: object) -> None:
        self.log, self.told = log, events
        self.activities: list[ProfilerActivity] = []

    def __call__(self, activities: list[ProfilerActivity]):
        self.activities = activities

        @contextmanager
        def session():
            self.log.append("profile")
            yield self
            self.log.append("end of profile")

        return session()

    def events(self):
        return self.told

    def export_chrome_trace(self, path: str) -> None:
        Path(path).write_text("{}")


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done in turn, synchronising with the device among it."""
    found: list[str] = []
    monkeypatch.setattr(torch.accelerator, "synchronize", lambda device: found.append(f"synchronize {device}"))
    return found


def ranges_into(log: list[str]):
    @contextmanager
    def ranged(name: str):
        log.append(f"<{name}>")
        yield
        log.append("</>")

    return ranged


def test_calls_are_looked_at_behind_one_that_is_not_each_in_a_range(log: list[str]) -> None:
    profiler = FakeProfiler(log, event(0, 3), event(5, 8), event(0, 100, is_user_annotation=True), event(10, 13))
    host = event(0, 1000, DeviceType.CPU)
    profiler.told += (host,)
    found = observed(lambda: log.append("work"), CUDA, "the case", ranges=ranges_into(log), profiler=profiler)
    assert CALLS == 3
    assert found is not None
    assert (found.kernels, found.kernel_s) == (1, pytest.approx(3e-6))
    assert log == [
        "work",
        "synchronize cuda:0",
        "<the case>",
        "profile",
        *["<call>", "work", "</>"] * 3,
        "synchronize cuda:0",
        "end of profile",
        "</>",
    ]
    # The host's operations are of no use there, and many.
    assert profiler.activities == [ProfilerActivity.CUDA]


def test_a_long_call_is_looked_at_once_and_a_trace_has_the_host_too(log: list[str], tmp_path: Path) -> None:
    profiler = FakeProfiler(log, event(0, 3), event(5, 8))
    trace = tmp_path / "traces" / "case.json"
    found = observed(lambda: log.append("work"), CUDA, "case", 0.2, trace, ranges=ranges_into(log), profiler=profiler)
    assert log.count("work") == 2
    assert (found.kernels, found.kernel_s) == (2, pytest.approx(6e-6))
    assert profiler.activities == [ProfilerActivity.CPU, ProfilerActivity.CUDA]
    assert trace.read_text() == "{}"


def test_a_profiler_that_sees_no_device_tells_nothing(log: list[str]) -> None:
    profiler = FakeProfiler(log, event(0, 3, DeviceType.CPU))
    assert observed(lambda: None, CUDA, "case", ranges=ranges_into(log), profiler=profiler) is None


def test_on_the_cpu_a_trace_has_operations_in_the_ranges_of_the_case_and_its_calls(tmp_path: Path) -> None:
    x = torch.ones(8)
    trace = tmp_path / "case.json.gz"
    assert observed(lambda: x.sin(), torch.device("cpu"), "sin/divergence", trace=trace) is None
    events = json.loads(gzip.decompress(trace.read_bytes()))["traceEvents"]
    names = [one.get("name") for one in events]
    assert names.count("aten::sin") == names.count("call") == CALLS
    assert "sin/divergence" in names


def test_ranges_are_nvtx_on_cuda_and_nothing_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    nvtx = SimpleNamespace(range_push=log.append, range_pop=lambda: log.append("pop"))
    monkeypatch.setattr(ranges_module.torch.cuda, "nvtx", nvtx)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(ValueError, match="mine"), ranges_for(CUDA)("sin/{divergence}"):
        raise ValueError("mine")
    assert log == ["sin/{divergence}", "pop"]
    for device in ("cpu", "mps"):
        with ranges_for(torch.device(device))("case"):
            pass
    assert len(log) == 2
