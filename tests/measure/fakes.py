"""A clock, a device, a card and a graph library whose time and answers are told by the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

from jacstrat.graphs import Work
from jacstrat.measure.card import DeviceState
from jacstrat.measure.clocks import Timing


class FakeClock:
    """Time that only the work moves: work adds its seconds to `now_s`."""

    def __init__(self, tick_s: float = 1e-7) -> None:
        self.tick_s = tick_s
        self.cache, self.lead = "warm", 0
        self.now_s = 0.0
        self.blocks: list[int] = []

    def time(self, work: Work, calls: int) -> Timing:
        begin = self.now_s
        for _ in range(calls):
            work()
        self.blocks.append(calls)
        return Timing(self.now_s - begin, self.now_s - begin)

    def waits(self, work: Work) -> bool | None:
        return None

    def work(self, *seconds: float, log: list[str] | None = None, name: str = "") -> Work:
        """Work whose calls take the given seconds in turn, the last of them from then on."""
        left = list(seconds)

        def run() -> None:
            self.now_s += left.pop(0) if len(left) > 1 else left[0]
            if log is not None:
                log.append(name)

        return run


class FakeAccelerator:
    """A device that works through its queues while the host goes on; both on one timeline, in nanoseconds.

    A launch costs the host LAUNCH_NS, and the device as long as it says, in the order of its queue. The host waits
    where a queue holds `depth` launches. Recording an event costs nothing and is done when its queue gets there.
    """

    event_tick_s = 5e-7
    LAUNCH_NS = 10_000
    FLUSH_NS = 100_000
    HOLD_NS = 1_000_000

    def __init__(self, depth: int = 1000) -> None:
        self.now_ns = 0
        self.depth = depth
        self.log: list[str] = []
        self._ends: dict[str, list[int]] = {"current": [], "side": []}

    def launch(self, name: str, device_ns: int, queue: str = "current") -> None:
        ends = self._ends[queue]
        if len(ends) >= self.depth:
            self.now_ns = max(self.now_ns, ends[-self.depth])
        self.now_ns += self.LAUNCH_NS
        ends.append(max(self.now_ns, ends[-1] if ends else 0) + device_ns)
        self.log.append(name)

    def work(self, device_ns: int, queue: str = "current", then_wait: bool = False) -> Work:
        """Work of one launch, which waits for the device if so asked."""

        def run() -> None:
            self.launch("work", device_ns, queue)
            if then_wait:
                self.synchronize()

        return run

    def event(self) -> SimpleNamespace:
        return SimpleNamespace(at_ns=None)

    def record(self, event: SimpleNamespace) -> None:
        event.at_ns = max([self.now_ns, *self._ends["current"][-1:]])
        self.log.append("record")

    def passed(self, event: SimpleNamespace) -> bool:
        return event.at_ns <= self.now_ns

    def elapsed_s(self, begin: SimpleNamespace, end: SimpleNamespace) -> float:
        assert self.passed(end), "read before the device was done"
        return (end.at_ns - begin.at_ns) / 1e9

    def synchronize(self) -> None:
        self.now_ns = max([self.now_ns, *(end for ends in self._ends.values() for end in ends[-1:])])
        self.log.append("synchronize")

    def flush(self) -> None:
        self.launch("flush", self.FLUSH_NS)

    def hold(self) -> None:
        self.launch("hold", self.HOLD_NS)


class FakeCard:
    """A card whose energy counter moves at a constant power, read from a clock, and is refreshed now and then.

    Args:
        clock: Tells the time.
        power_w: How fast energy is used.
        refresh_s: How often the counter is brought up to date.
        begin_j: What it shows at time 0.
        resets_s: When the counter goes back to 0.
    """

    def __init__(
        self,
        clock: FakeClock,
        power_w: float = 100.0,
        refresh_s: float = 0.1,
        begin_j: float = 1e6,
        resets_s: float | None = None,
    ) -> None:
        self.clock, self.power_w, self.refresh_s = clock, power_w, refresh_s
        self.begin_j, self.resets_s = begin_j, resets_s

    def state(self) -> DeviceState:
        return DeviceState(energy_j=self.energy_j())

    def energy_j(self) -> float | None:
        # A millionth over, since sums of floats end just before the refresh that they stand for.
        now_s = self.clock.now_s + 1e-6
        refreshed_s = now_s // self.refresh_s * self.refresh_s
        if self.resets_s is not None and refreshed_s >= self.resets_s:
            return self.power_w * (refreshed_s - self.resets_s)
        return self.begin_j + self.power_w * refreshed_s


class FakeGraph:
    """A graph of FakeGraphs: what was launched while it captured, in a pool of memory."""

    BYTES = 2**21

    def __init__(self, module: FakeGraphs) -> None:
        self.module = module
        self.launches: list[Callable[[], object]] = []
        self.memory: int | None = None

    def begin(self) -> None:
        users = self.module.users
        self.memory = len(users) + 1
        users[self.memory] = 1
        self.module.capturing, self.module.spoiled, self.module.generator_captures = self, False, True

    def end(self) -> None:
        self.module.capturing = None
        self.module.reserved_bytes += self.BYTES
        if self.module.spoiled:
            raise RuntimeError("CUDA error: operation failed due to a previous error during capture")
        self.module.generator_captures = False

    def replay(self) -> None:
        self.module.log.append("replay")
        for launch in self.launches:
            launch()

    def reset(self) -> None:
        if self.memory is not None:
            self.module.users[self.memory] -= 1
            self.module.reserved_bytes -= self.BYTES
            self.memory = None

    __del__ = reset


class FakeGraphs:
    """A module like torch.cuda: what work launches runs at once, or while a graph is captured is kept for its replay.

    As in torch, work that synchronises spoils a capture, ending a spoiled capture raises and leaves the stream as it
    is, and a graph that is told of no other's pool has one of its own.

    Fields:
        log: What was asked for.
        streams: The current stream, last, and those that it stands in for.
        users: Graphs alive, by pool.
        reserved_bytes: Memory taken from the device.
        capturing: The graph under way.
        spoiled: Its capture has failed.
        generator_captures: The generator takes a capture to be under way, as it does after one that has failed.
    """

    def __init__(self) -> None:
        self.log: list[str] = []
        self.streams = ["main"]
        self.users: dict[int, int] = {}
        self.reserved_bytes = 0
        self.capturing: FakeGraph | None = None
        self.spoiled = False
        self.generator_captures = False

    def CUDAGraph(self) -> FakeGraph:
        return FakeGraph(self)

    def launch(self, operation: Callable[[], object]) -> None:
        self.log.append(f"launch on {self.streams[-1]}")
        if self.capturing:
            self.capturing.launches.append(operation)
        else:
            operation()

    def synchronize(self, device: object = None) -> None:
        if self.capturing:
            self.spoiled = True
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nMore in the manual.\n")
        self.log.append("synchronize")

    def empty_cache(self) -> None:
        self.log.append("empty cache")

    def memory_reserved(self, device: object) -> int:
        return self.reserved_bytes

    def Stream(self, device: object) -> SimpleNamespace:
        return SimpleNamespace(name="side", wait_stream=lambda other: self.log.append(f"side waits for {other.name}"))

    def current_stream(self) -> SimpleNamespace:
        name = self.streams[-1]
        return SimpleNamespace(name=name, wait_stream=lambda other: self.log.append(f"{name} waits for {other.name}"))

    @contextmanager
    def device(self, device: object) -> Iterator[None]:
        self.log.append(f"device {device}")
        yield

    @contextmanager
    def stream(self, stream: SimpleNamespace) -> Iterator[None]:
        before = list(self.streams)
        self.streams.append(stream.name)
        try:
            yield
        finally:
            self.streams = before

    @contextmanager
    def graph(self, graph: FakeGraph, stream: SimpleNamespace) -> Iterator[None]:
        before = list(self.streams)
        self.streams.append(stream.name)
        graph.begin()
        self.log.append(f"capture into pool {graph.memory}")
        try:
            yield
        finally:
            graph.end()
            self.streams = before
