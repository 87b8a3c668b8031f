"""Two sets of records, and what they have in common: cases, machine, torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from jacstrat.compare.inputs import RecordSet
from jacstrat.compare.places import differences
from jacstrat.compare.verdict import NothingToCompareError
from jacstrat.core.case import KEY
from jacstrat.core.environment import moment

if TYPE_CHECKING:
    import pandas as pd

MEASURED = ("ok", "wrong")


@dataclass(frozen=True)
class RecordPair:
    """Two sets of records to be compared; at least one case is in both, and each measured one of these.

    Fields:
        base, new: From `read_side`.

    Raises:
        NothingToCompareError: No case is in both, or one of them measured none of those that are.
    """

    base: RecordSet
    new: RecordSet

    def __post_init__(self) -> None:
        for side in self.sides:
            if side.by_case.empty:
                raise NothingToCompareError(f"{side.label} has no case: its run measured nothing")
        if not self.common:
            raise NothingToCompareError(f"{self.base.label} and {self.new.label} have no case in common{self._hint()}")
        for side in self.sides:
            records = side.by_case.loc[self.common]
            if not records["status"].isin(MEASURED).any():
                counts = ", ".join(f"{count} {status}" for status, count in Counter(records["status"]).most_common())
                reason = records["reason"].mode().iloc[0]
                raise NothingToCompareError(
                    f"{side.label} measured none of the {len(self.common)} cases ({counts}): {reason}"
                )

    @property
    def sides(self) -> tuple[RecordSet, RecordSet]:
        """BASE and NEW."""
        return self.base, self.new

    @cached_property
    def common(self) -> list[str]:
        """The cases that both have, in the order of BASE."""
        return [case for case in self.base.by_case.index if case in self.new.by_case.index]

    @cached_property
    def gone(self) -> list[str]:
        """The cases that BASE has alone."""
        return [case for case in self.base.by_case.index if case not in self.new.by_case.index]

    @cached_property
    def added(self) -> list[str]:
        """The cases that NEW has alone."""
        return [case for case in self.new.by_case.index if case not in self.base.by_case.index]

    @cached_property
    def before(self) -> pd.DataFrame:
        """The records of BASE of the common cases."""
        return self.base.by_case.loc[self.common]

    @cached_property
    def after(self) -> pd.DataFrame:
        """The records of NEW of the common cases, in the same order."""
        return self.new.by_case.loc[self.common]

    def ratios(self, column: str, cases: Iterable[str]) -> list[float]:
        """NEW over BASE of a column, by case; NaN where one has none."""
        before, after = (frame.loc[list(cases), column].astype("float64") for frame in (self.before, self.after))
        return [float(ratio) for ratio in after / before]

    @property
    def same_machine(self) -> bool:
        """Both are of one kind of machine."""
        base, new = self.base.environment, self.new.environment
        return bool(base.machine) and base.machine == new.machine and base.accelerators == new.accelerators

    @property
    def same_torch(self) -> bool:
        """Both are of one torch, as far as anybody knows."""
        # What follows a plus is the build, "+cpu" or "+cu126": its operations are those of the release.
        before, after = (side.environment.torch.partition("+")[0] for side in self.sides)
        return not (before and after) or before == after

    @property
    def same_place(self) -> bool:
        """Both say where they were measured, and nothing of it differs."""
        base, new = self.base.environment, self.new.environment
        return base.known and new.known and not any(differences(base, new))

    def notes(self) -> Iterator[str]:
        """What there is to say of both and of where they were measured, a line each."""
        yield from self.base.notes
        yield from self.new.notes
        base, new = self.base.environment, self.new.environment
        for side in self.sides:
            if not side.environment.known:
                yield (
                    f"{side.label} does not say where it was measured: "
                    "it is taken for another machine, of the same torch"
                )
        if base.known and new.known:
            yield from (f"environments differ: {difference}" for difference in differences(base, new))
        began, then = moment(base.utc), moment(new.utc)
        if began and then and then < began:
            yield (
                f"NEW, {self.new.label}, was measured on {then:%Y-%m-%d %H:%M}, before BASE, {self.base.label}, on "
                f"{began:%Y-%m-%d %H:%M}: are they swapped?"
            )

    def _hint(self) -> str:
        """The first column of the key in which the two never agree."""
        for name in KEY:
            before, after = (sorted(set(side.frame[name].dropna())) for side in self.sides)
            if not set(before) & set(after):
                shown = [
                    ", ".join(map(str, values[:3])) + (", ..." if len(values) > 3 else "") for values in (before, after)
                ]
                remedy = f"; measure both with the same --{name}" if name == "threads" else ""
                return f": {name} is {shown[0]} against {shown[1]}{remedy}"
        return ""
