"""A line: one measure of one case over commits, its levels and its steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from statistics import median
from types import MappingProxyType
from typing import TYPE_CHECKING

from jacstrat.core.errors import UsageError, lookup
from jacstrat.history.steps import penalty_of, segments

if TYPE_CHECKING:
    import pandas as pd

TIMES = ("cost_ratio", "median_s", "prepare_s", "f_median_s", "over_fastest")
COUNTS = ("aten_ops", "vjp_products", "jvp_products", "f_evaluations", "flops", "peak_bytes")
ERRORS = ("rel_error", "abs_error", "ulp_error")
MEASURES = (*TIMES, *COUNTS, *ERRORS, "energy_j")
# A level that differs by less than this is none: the tape that times are read from is no finer.
LEAST_STEP: Mapping[str, float] = MappingProxyType(dict.fromkeys((*TIMES, "energy_j"), 0.02))


@dataclass(frozen=True)
class HistoryPoint:
    """The measure at a commit, the median over its runs."""

    commit: str
    date: str
    value: float


@dataclass(frozen=True)
class LevelStep:
    """A level that differs from the one before.

    Fields:
        commit: The first at the new level.
        after: The last at the old one: what changed it lies between the two.
        before_level, level: Medians.
    """

    commit: str
    after: str
    before_level: float
    level: float

    @property
    def factor(self) -> float:
        """New over old; infinite where the old level is 0."""
        return self.level / self.before_level if self.before_level else math.inf


@dataclass(frozen=True)
class HistoryLine:
    """One measure of one case over commits.

    Fields:
        case, measure: Which.
        points: In the order of commits, at least one.
        levels: (begin, end, level) of the intervals without a step.
    """

    case: str
    measure: str
    points: tuple[HistoryPoint, ...]
    levels: tuple[tuple[int, int, float], ...]

    @property
    def steps(self) -> tuple[LevelStep, ...]:
        """Where one level ends and the next begins."""
        pairs = zip(self.levels, self.levels[1:], strict=False)
        return tuple(
            LevelStep(self.points[begin].commit, self.points[begin - 1].commit, before, level)
            for (_, _, before), (begin, _, level) in pairs
        )

    @property
    def drift(self) -> float:
        """The last level over the first: what many small steps add up to."""
        return _over(self.levels[-1][2], self.levels[0][2])

    @property
    def over_best(self) -> float:
        """The last level over the lowest there has been."""
        return _over(self.levels[-1][2], min(level for _, _, level in self.levels))


def line_of(case: str, measure: str, points: Sequence[HistoryPoint]) -> HistoryLine:
    """A line with its steps.

    Steps are looked for in logarithms, since a change of time is a factor; where a value is 0, in shares of the
    largest. A level has two points at least, since one may be an outlier. Counts have no noise: each change of theirs
    is a step.

    Args:
        case, measure: Which.
        points: In the order of commits, at least one.
    """
    values = [point.value for point in points]
    largest = max(map(abs, values)) or 1.0
    scale = [math.log(value) if min(values) > 0 else value / largest for value in values]
    exact = measure in COUNTS
    parts = segments(scale, 1e-12 if exact else penalty_of(scale), shortest=1 if exact else 2)
    merged = [parts[0]]
    for begin, end in parts[1:]:
        level, before = _level(values, (begin, end)), _level(values, merged[-1])
        low, high = sorted((before, level))
        if high < low * (1 + LEAST_STEP.get(measure, 0.0)):
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((begin, end))
    return HistoryLine(case, measure, tuple(points), tuple((*bounds, _level(values, bounds)) for bounds in merged))


def measure_of(frame: pd.DataFrame) -> str:
    """What to show unless it is asked for: cost ratios where there are any, else times, else operations.

    Args:
        frame: From `Store.frame`.
    """
    return next((name for name in ("cost_ratio", "median_s") if frame[name].notna().any()), "aten_ops")


def lines_of(frame: pd.DataFrame, measure: str, pattern: str = "*") -> tuple[list[HistoryLine], list[str]]:
    """The lines of a store, and what there is to say of them.

    Times of machines of different kinds do not compare: where there are several, those of the kind that was last
    measured on are shown. Runs with uncommitted changes are left out, since no commit has them.

    Args:
        frame: From `Store.frame`.
        measure: One of MEASURES.
        pattern: Of cases, as in a shell.

    Raises:
        UsageError: No such measure, or no case fits.
    """
    lookup("measure", measure, dict.fromkeys(MEASURES))
    notes = []
    dirty = frame["dirty"].astype(bool)
    if dirty.any():
        notes.append(f"{frame.loc[dirty, 'run'].nunique()} runs with uncommitted changes are left out")
        frame = frame[~dirty]
    # The column has the hash of the kind before that of the name, which a container may have anew for each run.
    kinds = frame["machine"].str.split("-").str[0]
    if measure not in (*COUNTS, *ERRORS) and kinds.nunique() > 1:
        last = kinds.iloc[-1]
        others = frame.loc[kinds != last, "run"].nunique()
        notes.append(f"{others} runs of other machines than {last or 'the unknown one'} are left out: times differ")
        frame = frame[kinds == last]
    chosen = frame[frame["case"].map(lambda case: case == pattern or fnmatchcase(case, pattern))]
    if frame.empty or chosen.empty:
        what = f"no case fits {pattern!r}" if len(frame) else "there are no runs of a commit"
        raise UsageError(f"{what}; `jacstrat history add DIR` takes in results")
    measured = chosen[chosen[measure].notna() & chosen["status"].isin(("ok", "wrong"))]
    missing = chosen["case"].nunique() - measured["case"].nunique()
    if missing:
        notes.append(f"{missing} cases have no {measure}")
    lines = []
    for case, rows in measured.groupby("case", sort=False):
        groups = rows.groupby("commit", sort=False)
        points = [
            HistoryPoint(str(commit), str(group["date"].iloc[0]), float(median(map(float, group[measure]))))
            for commit, group in groups
        ]
        lines.append(line_of(str(case), measure, points))
    return lines, notes


def _level(values: Sequence[float], bounds: tuple[int, int]) -> float:
    return float(median(values[bounds[0] : bounds[1]]))


def _over(value: float, of: float) -> float:
    return value / of if of else (1.0 if value == of else math.inf)
