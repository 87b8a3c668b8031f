"""Clock, memory, telemetry, energy and graphs on the accelerator itself."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import torch

from jacstrat.core.errors import UnsupportedError
from jacstrat.graphs import KINDS, captured
from jacstrat.measure.activity import observed
from jacstrat.measure.card import throttled
from jacstrat.measure.clocks import COLD
from jacstrat.measure.context import is_lost
from jacstrat.measure.cooling import hot
from jacstrat.measure.device_clock import DeviceClock
from jacstrat.measure.energy import energy_per_call
from jacstrat.measure.memory import peak_bytes
from jacstrat.measure.roofline import measured_peaks
from jacstrat.measure.telemetry import Telemetry
from jacstrat.measure.torch_device import clock_for, flush_bytes
from tests.gpu import bodies

pytestmark = pytest.mark.gpu

MiB = 2**20


@pytest.fixture(scope="module")
def clock(device: str) -> DeviceClock:
    clock = clock_for(device)
    assert isinstance(clock, DeviceClock)
    return clock


@pytest.fixture(scope="module")
def product(device: str):
    """The product of two matrices that keeps any accelerator busy for longer than its launch."""
    a = torch.randn(4096, 4096, device=device)
    return lambda: a @ a


def test_the_tick_is_well_below_a_block(clock: DeviceClock) -> None:
    assert 0 < clock.tick_s < 1e-3


def test_device_time_of_a_product_is_that_of_a_stopwatch(clock: DeviceClock, product) -> None:
    clock.time(product, 20)
    timing = clock.time(product, 50)
    torch.accelerator.synchronize()
    begin = time.perf_counter()
    for _ in range(50):
        product()
    torch.accelerator.synchronize()
    stopwatch = time.perf_counter() - begin
    # Clocks of a card move while it warms up; a stream or a unit that is mistaken is off by far more.
    assert 0.5 * stopwatch < timing.seconds < 2 * stopwatch
    assert timing.host_s < timing.seconds


def test_device_time_grows_with_the_calls(clock: DeviceClock, product) -> None:
    clock.time(product, 20)
    few, many = (min(clock.time(product, calls).seconds for _ in range(5)) for calls in (10, 40))
    assert 3 < many / few < 5


def test_a_product_queues_and_reading_it_waits(clock: DeviceClock, product) -> None:
    product()
    assert clock.waits(product) is False
    assert clock.waits(lambda: product().sum().item()) is True


def test_waiting_is_told_where_the_host_is_slow(clock: DeviceClock, product) -> None:
    def slow(then_wait: bool) -> None:
        time.sleep(2e-3)
        found = product()
        if then_wait:
            found.sum().item()

    assert clock.waits(lambda: slow(False)) is False
    assert clock.waits(lambda: slow(True)) is True


def test_a_cold_read_takes_longer_than_a_warm_one(device: str, clock: DeviceClock) -> None:
    """Of a tensor that fits into the cache, a fourth of it, whose reading keeps the device busy."""
    if device != "cuda":
        pytest.skip(f"torch does not tell the cache of {device}")
    size = torch.cuda.get_device_properties(device).L2_cache_size // 4
    x = torch.ones(size // 4, device=device)
    cold = clock_for(device, COLD)

    def read() -> torch.Tensor:
        for _ in range(2):
            found = x.sum()
        return found

    medians = [sorted(one.time(read, 20).seconds for _ in range(9))[4] for one in (clock, cold)]
    assert medians[1] > medians[0]


def test_the_profiler_counts_kernels_and_the_time_in_them(device: str, clock: DeviceClock, product) -> None:
    x = torch.randn(1000, device=device)
    found = observed(lambda: x.sin().cos().tanh(), torch.device(device), "three kernels")
    if found is None:
        pytest.skip(f"torch's profiler sees nothing of {device}, or another one holds it")
    assert found.kernels == 3
    assert 0 < found.kernel_s < 1e-3
    busy = observed(product, torch.device(device), "a product")
    assert busy is not None
    call_s = clock.time(product, 20).seconds / 20
    assert 0.5 * call_s < busy.kernel_s < 1.5 * call_s


def test_rates_are_those_of_an_accelerator_and_a_device_that_works_is_not_lost(device: str, clock: DeviceClock) -> None:
    found = measured_peaks(clock, device, torch.float32)
    assert found is not None
    assert 1e11 < found.flops_per_s < 1e16
    assert 1e10 < found.bytes_per_s < 1e14
    assert not is_lost(torch.device(device))


def test_the_flush_is_at_least_the_cache(device: str) -> None:
    if device != "cuda":
        pytest.skip(f"torch does not tell the cache of {device} under this name")
    cache = torch.cuda.get_device_properties(device).L2_cache_size
    assert flush_bytes(torch.device(device)) >= 2 * cache > 0


def test_peak_bytes_are_those_of_the_allocator(device: str) -> None:
    if device == "mps":
        pytest.skip("Metal's allocator keeps no peak")

    def empty() -> torch.Tensor:
        return torch.empty(8 * MiB, dtype=torch.uint8, device=device)

    assert peak_bytes(empty, device) == 8 * MiB
    assert peak_bytes(lambda: (empty(), empty()), device) == 16 * MiB
    assert peak_bytes(lambda: [empty().view(torch.float32).sum() for _ in range(4)], device) < 16 * MiB
    # A sum of bytes adds up in 64 bits, in a copy of eight times the size that the allocator sees.
    assert peak_bytes(lambda: empty().sum(), device) >= 8 * MiB


@pytest.fixture(scope="module")
def card(device: str) -> Iterator[Telemetry]:
    """The NVIDIA card behind torch's device 0."""
    opened = Telemetry.open() if device == "cuda" else None
    if opened is None:
        pytest.skip("torch computes on no NVIDIA card")
    with opened:
        yield opened


def test_the_card_tells_of_itself(card: Telemetry) -> None:
    assert card.card.name == torch.cuda.get_device_name(0)
    total = torch.cuda.get_device_properties(0).total_memory
    assert card.card.memory_bytes is None or card.card.memory_bytes >= total
    state = card.state()
    assert state.temperature_c is None or 0 < state.temperature_c < 120
    assert set(throttled(state)) <= set(state.reasons or ())


def test_a_card_rests_behind_a_block_that_ended_hot(card: Telemetry) -> None:
    if hot(card.state()):
        pytest.skip("the card is slowed down for heat")
    bodies.rests_until_it_is_cooler(card)


def test_energy_of_a_product_is_at_most_what_the_power_limit_allows(card: Telemetry, clock, product) -> None:
    if card.energy_j() is None:
        pytest.skip(f"the card has no energy counter: {card.missing['energy_j']}")
    clock.time(product, 20)
    call_s = clock.time(product, 20).seconds / 20
    joules = energy_per_call(product, call_s, clock, card)
    assert joules is not None
    assert joules > 0
    # The limit is an average that the card keeps to over a while, and the counter is refreshed now and then.
    if card.card.power_limit_w is not None:
        assert joules < 1.5 * card.card.power_limit_w * call_s


@pytest.fixture(scope="module")
def graphs(device: str) -> str:
    """The device, where torch has graphs for it."""
    if not any(hasattr(torch.get_device_module(device), kind) for kind in KINDS):
        pytest.skip(f"torch has no graphs for {device}")
    return device


def test_a_replay_computes_the_work_again(graphs: str) -> None:
    x = torch.full((1000,), 3.0, device=graphs)
    replay = captured(lambda: x.sin() * x, graphs)
    result = replay()
    torch.testing.assert_close(result, x.sin() * x)
    x.fill_(2.0)
    assert replay() is result
    torch.testing.assert_close(result, x.sin() * x)
    replay.close()


def test_gradients_are_captured_with_their_way_back(graphs: str) -> None:
    x = torch.randn(100, 8, device=graphs)
    weight = torch.randn(8, 8, device=graphs, requires_grad=True)

    def step() -> tuple[torch.Tensor, ...]:
        return torch.autograd.grad((x @ weight).tanh().square().mean(), (weight,))

    torch.testing.assert_close(captured(step, graphs)(), step())


def test_graphs_stay_right_in_any_order(graphs: str) -> None:
    x = torch.randn(1000, 64, device=graphs)
    works = [lambda power=power: (x.abs() ** power).sum(-1).sqrt() for power in (1, 2, 3)]
    replays = [captured(work, graphs) for work in works]
    for index in (0, 2, 1, 1, 0, 2):
        torch.testing.assert_close(replays[index](), works[index]())


def test_a_replay_takes_the_host_less_time_than_its_launches(graphs: str, clock: DeviceClock) -> None:
    x = torch.randn(64, device=graphs)

    def work() -> torch.Tensor:
        y = x
        for _ in range(100):
            y = y.sin()
        return y

    replay = captured(work, graphs)
    assert clock.time(replay, 20).host_s < clock.time(work, 20).host_s


@pytest.mark.parametrize("kind", ["synchronises", "copies", "has a shape of its data"])
def test_what_a_graph_cannot_hold_is_refused_and_the_next_capture_works(graphs: str, kind: str) -> None:
    x = torch.randn(100, device=graphs)
    works = {
        "synchronises": lambda: x * x.sum().item(),
        "copies": lambda: x * torch.ones(100).to(graphs),
        "has a shape of its data": lambda: x[x > 0],
    }
    with pytest.raises(UnsupportedError, match="^it cannot be captured in a graph: "):
        captured(works[kind], graphs)
    torch.randn(3, device=graphs)  # the generator has left the capture
    torch.testing.assert_close(captured(lambda: x + 1, graphs)(), x + 1)


def test_random_numbers_are_refused(graphs: str) -> None:
    with pytest.raises(UnsupportedError, match="another result than the call"):
        captured(lambda: torch.randn(100, device=graphs), graphs)


def test_a_device_without_graphs_says_so(device: str) -> None:
    with pytest.raises(UnsupportedError, match="^device cpu has no graphs here; cuda and xpu have them$"):
        captured(lambda: None, "cpu")
