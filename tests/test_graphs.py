"""Graphs, on a fake of torch.cuda that keeps what is launched while it captures."""

from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor

from jacstrat import graphs
from jacstrat.core.errors import UnsupportedError
from jacstrat.graphs import WARM_UPS, TorchGraphs, backend_for, captured
from tests.measure.fakes import FakeGraph, FakeGraphs

CPU = torch.device("cpu")


@pytest.fixture
def cuda() -> FakeGraphs:
    return FakeGraphs()


@pytest.fixture
def backend(cuda: FakeGraphs) -> TorchGraphs:
    return TorchGraphs(cuda, CPU)


def squares(cuda: FakeGraphs, x: Tensor):
    """Work that writes x^2 into memory which is its result, in one launch."""

    def work() -> Tensor:
        result = torch.full_like(x, -1)
        cuda.launch(lambda: result.copy_(x * x))
        return result

    return work


def test_a_replay_computes_the_captured_call_again(cuda: FakeGraphs, backend: TorchGraphs) -> None:
    x = torch.tensor([1.0, 2.0, 3.0])
    replay = captured(squares(cuda, x), CPU, backend)
    result = replay()
    assert result.tolist() == [1, 4, 9]
    x.fill_(5)  # read where it lies, at each replay
    assert replay() is result
    assert result.tolist() == [25, 25, 25]


def test_work_is_warmed_up_and_captured_on_a_side_stream_and_checked_once(
    cuda: FakeGraphs, backend: TorchGraphs
) -> None:
    replay = captured(squares(cuda, torch.ones(2)), CPU, backend)
    assert WARM_UPS == 3
    assert cuda.log == [
        "device cpu",
        "side waits for main",
        *["launch on side"] * 3,
        "main waits for side",
        "empty cache",
        "device cpu",
        "capture into pool 1",
        "launch on side",
        "replay",
        "synchronize",
    ]
    cuda.log.clear()
    assert replay.bytes == FakeGraph.BYTES == cuda.reserved_bytes
    replay()
    assert cuda.log == ["replay"]


def test_each_graph_has_a_pool_of_its_own_which_ends_with_it(cuda: FakeGraphs, backend: TorchGraphs) -> None:
    """Whatever the order of the replays: of one pool for several it would have to be that of their capture."""
    xs = [torch.full((2,), float(k)) for k in range(3)]
    replays = [captured(squares(cuda, x), CPU, backend) for x in xs]
    assert cuda.users == {1: 1, 2: 1, 3: 1}
    results = [replay() for replay in replays]
    for k in (2, 0, 1, 0):
        xs[k] += 1
        replays[k]()
        assert [result[0].item() for result in results] == [x[0].item() ** 2 for x in xs]
    replays[0].close()
    replays[0].close()
    assert cuda.users == {1: 0, 2: 1, 3: 1}
    replays.clear()
    assert cuda.users == {1: 0, 2: 0, 3: 0}


def test_a_closed_graph_says_so(cuda: FakeGraphs, backend: TorchGraphs) -> None:
    replay = captured(squares(cuda, torch.ones(2)), CPU, backend)
    replay.close()
    with pytest.raises(RuntimeError, match="^the graph is closed; capture the work again$"):
        replay()


def test_work_that_synchronises_cannot_be_captured(cuda: FakeGraphs, backend: TorchGraphs) -> None:
    def work() -> Tensor:
        result = squares(cuda, torch.ones(2))()
        cuda.synchronize()
        return result

    with pytest.raises(UnsupportedError) as raised:
        captured(work, CPU, backend)
    assert str(raised.value) == (
        "it cannot be captured in a graph: CUDA error: operation not permitted when stream is capturing"
    )
    assert cuda.streams == ["main"]
    assert not cuda.generator_captures
    # What comes after is not in the way of it, nor shares its memory.
    assert captured(squares(cuda, torch.ones(2)), CPU, backend)().tolist() == [1, 1]


def test_a_capture_that_fails_by_itself_is_the_reason(cuda: FakeGraphs, backend: TorchGraphs) -> None:
    def work() -> None:
        cuda.spoiled = cuda.capturing is not None

    with pytest.raises(UnsupportedError) as raised:
        captured(work, CPU, backend)
    assert str(raised.value) == (
        "it cannot be captured in a graph: CUDA error: operation failed due to a previous error during capture"
    )


def test_an_error_without_a_message_has_its_name(cuda: FakeGraphs, backend: TorchGraphs) -> None:
    def work() -> None:
        if cuda.capturing:
            raise NotImplementedError

    with pytest.raises(UnsupportedError, match="^it cannot be captured in a graph: NotImplementedError$"):
        captured(work, CPU, backend)


def test_memory_that_runs_out_in_a_capture_is_no_lack_of_support(cuda: FakeGraphs, backend: TorchGraphs) -> None:
    def work() -> None:
        if cuda.capturing:
            cuda.spoiled = True
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError, match="^CUDA out of memory$"):
        captured(work, CPU, backend)


def test_work_that_fails_without_a_graph_fails_as_it_does(backend: TorchGraphs) -> None:
    def work() -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="^mine$"):
        captured(work, CPU, backend)


def test_a_result_of_the_cpu_is_not_computed_again(cuda: FakeGraphs, backend: TorchGraphs) -> None:
    with pytest.raises(UnsupportedError) as raised:
        captured(lambda: torch.ones(2), "cuda", backend)
    assert str(raised.value) == "its result is on cpu, which a graph of cuda does not compute again"
    assert cuda.users == {1: 0}


def test_a_replay_that_differs_from_the_call_is_refused(cuda: FakeGraphs, backend: TorchGraphs) -> None:
    rng = random.Random(0)

    def work() -> Tensor:
        result = torch.zeros(2)
        cuda.launch(lambda: result.fill_(rng.random()))
        return result

    with pytest.raises(UnsupportedError) as raised:
        captured(work, CPU, backend)
    assert str(raised.value) == "a replay of its graph has another result than the call: does it draw random numbers?"
    assert cuda.users == {1: 0}


def test_work_of_the_host_is_not_taken_for_work_of_the_device(cuda: FakeGraphs, backend: TorchGraphs) -> None:
    calls: list[int] = []

    def work() -> Tensor:
        calls.append(1)
        result, number = torch.zeros(2), len(calls)
        cuda.launch(lambda: result.fill_(number))
        return result

    with pytest.raises(UnsupportedError, match="another result than the call"):
        captured(work, CPU, backend)


def test_gradients_and_the_lack_of_them_are_compared_as_they_are(cuda: FakeGraphs, backend: TorchGraphs) -> None:
    square = squares(cuda, torch.tensor([float("nan"), 2.0]))
    replay = captured(lambda: (square(), None, {"of": square()}), CPU, backend)
    first, none, rest = replay()
    assert (first[1], none, rest["of"][1]) == (4, None, 4)


@pytest.mark.skipif(torch.accelerator.is_available(), reason="there is an accelerator")
@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:1", "mps", "meta"])
def test_a_device_without_graphs_is_refused_before_the_work_runs(device: str) -> None:
    with pytest.raises(UnsupportedError, match=f"^device {device} has no graphs here; cuda and xpu have them$"):
        captured(lambda: pytest.fail("called"), device)


def test_the_graphs_of_the_accelerator_here_are_used(monkeypatch: pytest.MonkeyPatch, cuda: FakeGraphs) -> None:
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: torch.device("cuda"))
    monkeypatch.setattr(torch, "get_device_module", lambda device: cuda)
    graphs._torch_graphs.cache_clear()
    try:
        here = backend_for(torch.device("cuda"))
        assert isinstance(here, TorchGraphs)
        assert backend_for(torch.device("cuda")) is here
        with pytest.raises(UnsupportedError, match="^device xpu has no graphs here"):
            backend_for(torch.device("xpu"))
    finally:
        graphs._torch_graphs.cache_clear()
