"""A cell: the cases that differ in nothing but the strategy, sampled side by side."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from jacstrat.core.case import Case


@dataclass(frozen=True)
class Cell:
    """What the strategies are compared on: one problem at one size on one device.

    Fields:
        problem: A name from PROBLEMS, or where a user's own is: "file.py:attr", "module:attr".
        operator, n, batch, dtype, device, workload, threads, seed: As the columns of a record.
        strategies: Specs of the strategies to compare.
    """

    problem: str
    operator: str
    n: int
    batch: int
    dtype: str
    device: str
    workload: str
    threads: int
    seed: int
    strategies: tuple[str, ...]

    @classmethod
    def of(cls, case: Case) -> Cell:
        """The cell that has this case alone."""
        shared = asdict(case)
        return cls(strategies=(shared.pop("strategy"),), **shared)

    def case(self, strategy: str) -> Case:
        """The case of a strategy; of F and FLOOR, which are sampled beside them, it has the key alone."""
        return Case(strategy=strategy, **{name: value for name, value in vars(self).items() if name != "strategies"})

    @property
    def cases(self) -> tuple[Case, ...]:
        """One case a strategy."""
        return tuple(map(self.case, self.strategies))

    @property
    def key(self) -> str:
        """A stable name of the cell."""
        return self.case("*").key
