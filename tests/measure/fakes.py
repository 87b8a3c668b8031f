"""A clock and a device whose time is told by the test."""

from __future__ import annotations

from jacstrat.measure.clocks import Timing, Work


class FakeClock:
    """Time that only the work moves: work adds its seconds to `now_s`."""

    def __init__(self, tick_s: float = 1e-7) -> None:
        self.tick_s = tick_s
        self.now_s = 0.0
        self.blocks: list[int] = []

    def time(self, work: Work, calls: int) -> Timing:
        begin = self.now_s
        for _ in range(calls):
            work()
        self.blocks.append(calls)
        return Timing(self.now_s - begin, self.now_s - begin)

    def work(self, *seconds: float, log: list[str] | None = None, name: str = "") -> Work:
        """Work whose calls take the given seconds in turn, the last of them from then on."""
        left = list(seconds)

        def run() -> None:
            self.now_s += left.pop(0) if len(left) > 1 else left[0]
            if log is not None:
                log.append(name)

        return run
