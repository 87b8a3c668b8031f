"""What the records say, as data: who is fastest, who is wrong, who failed, how time and error grow with n.

Every function takes a frame as `jacstrat.records.read_records` returns it, or its `to_records`. Where a case stands in
a frame twice, as after a resumed run, the later row counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jacstrat.record import Record
from jacstrat.report.analysis.bound import bound_of
from jacstrat.report.analysis.setting import Setting, Source, Spans, by_setting, spans, to_records
from jacstrat.statistics import CONFIDENCE, student_quantile

MEASURED = ("ok", "wrong")
"""The statuses of cases that ran to their end: their times, bytes and errors are measurements."""

LINE = ("problem", "operator", "strategy")


@dataclass(frozen=True)
class Winner:
    """The fastest exact strategy with a right result at one n; see `jacstrat.report.analysis.stochastic` for the
    others.

    Fields:
        setting, n, strategy: Where, and which one.
        median_s: Its median time of one call, seconds.
        cost_ratio: Its time over the time of f, or None.
        level: Itself, and every strategy that cannot be told from it: the 95 % interval of the ratio by round covers 1,
            or where that was not recorded the ratio is not above 1 or the intervals of the medians overlap.
        runner_up, over_runner_up: The next one, and its time over the winner's; None where there is no other.
        slowest, over_slowest: The last one, likewise.
        over_best_flops, over_floor, over_light: Of a network, how many times above the best-known cost it is, in FLOPs,
            in time, and in what that cost takes at the device's measured rates; None for other problems.
        bound: What bounds it, see `jacstrat.report.analysis.bound`; None where that is not known.
    """

    setting: Setting
    n: int
    strategy: str
    median_s: float
    cost_ratio: float | None
    level: tuple[str, ...]
    runner_up: str | None = None
    over_runner_up: float | None = None
    slowest: str | None = None
    over_slowest: float | None = None
    over_best_flops: float | None = None
    over_floor: float | None = None
    over_light: float | None = None
    bound: str | None = None

    @property
    def over_next(self) -> float | None:
        """The next one's multiple of its time; None where there is none, or where the two cannot be told apart."""
        return None if self.runner_up in self.level else self.over_runner_up


def over_best_flops(record: Record) -> float | None:
    """How many times the FLOPs of the best-known algorithm for the network a case has; None where there is none."""
    return record.flops / record.best_flops if record.best_flops and record.flops is not None else None


def winners(source: Source) -> tuple[Winner, ...]:
    """The winner at each n of each setting; an n at which no result is right has none."""
    of_sizes = []
    for setting, group in by_setting(to_records(source)).items():
        times: dict[int, list[tuple[float, Record]]] = {}
        for record in group:
            if record.status == "ok" and record.median_s and not record.draws:
                times.setdefault(record.n, []).append((record.median_s, record))
        of_sizes += [_winner(setting, n, sorted(pairs, key=lambda pair: pair[0])) for n, pairs in times.items()]
    return tuple(of_sizes)


def _winner(setting: Setting, n: int, ranking: Sequence[tuple[float, Record]]) -> Winner:
    (best_s, first), *behind = ranking
    # By what is said of them, the ratios by round: another order than that of the medians where times are noisy.
    others = sorted(((record.over_fastest or median_s / best_s, record) for median_s, record in behind), key=_multiple)

    def meets(other: Record) -> bool:
        if other.over_fastest_low is not None:
            return other.over_fastest_low <= 1
        # Slower by its median, faster by the rounds: of too few of them for an interval nothing is known.
        if other.over_fastest is not None and other.over_fastest <= 1:
            return True
        return other.ci_low_s is not None and first.ci_high_s is not None and other.ci_low_s <= first.ci_high_s

    level = (first.strategy, *(other.strategy for _, other in others if meets(other)))
    winner = Winner(
        setting,
        n,
        first.strategy,
        best_s,
        first.cost_ratio,
        level,
        over_best_flops=over_best_flops(first),
        over_floor=first.over_floor,
        over_light=first.over_light,
        bound=bound_of(first),
    )
    if not others:
        return winner
    (over_second, second), (over_last, last) = others[0], others[-1]
    return replace(
        winner,
        runner_up=second.strategy,
        over_runner_up=over_second,
        slowest=last.strategy,
        over_slowest=over_last,
    )


def _multiple(pair: tuple[float, Record]) -> float:
    return pair[0]


@dataclass(frozen=True)
class WinnerRange:
    """Neighbouring n's of one setting with the same winner.

    Fields:
        setting, n_low, n_high: Where.
        strategy: Fastest, or level with the fastest, at each of these n's; None where no result is right.
        winners: The winners themselves, by n.
    """

    setting: Setting
    n_low: int
    n_high: int
    strategy: str | None
    winners: tuple[Winner, ...]


def winner_ranges(source: Source) -> tuple[WinnerRange, ...]:
    """The winners condensed into as few ranges of n as their levels allow."""
    by_n = {(winner.setting, winner.n): winner for winner in winners(source)}
    ranges: list[WinnerRange] = []
    for setting, group in by_setting(to_records(source)).items():
        run: list[tuple[int, Winner | None]] = []
        for n in sorted({record.n for record in group}):
            winner = by_n.get((setting, n))
            if run and not _common([*(w for _, w in run), winner]):
                ranges.append(_range(setting, run))
                run = []
            run.append((n, winner))
        ranges.append(_range(setting, run))
    return tuple(ranges)


def _common(run: Sequence[Winner | None]) -> set[str | None]:
    """The strategies that are level with the fastest throughout; {None} where there is no winner throughout."""
    level: list[set[str | None]] = [{*winner.level} if winner else {None} for winner in run]
    return set.intersection(*level)


def _range(setting: Setting, run: Sequence[tuple[int, Winner | None]]) -> WinnerRange:
    won = [winner.strategy if winner else None for _, winner in run]
    # Of those level throughout, the one that won most often; the name decides between equals.
    strategy = max(sorted(_common([winner for _, winner in run]), key=str), key=won.count)
    return WinnerRange(setting, run[0][0], run[-1][0], strategy, tuple(winner for _, winner in run if winner))


@dataclass(frozen=True)
class Wrong:
    """A strategy whose results were wrong for a quantity.

    Fields:
        problem, operator, strategy: Which.
        ns: Ranges of n where it was wrong in at least one setting.
        cases, judged: How many of its cases were wrong, of how many that have a result.
        rel_error_low, rel_error_high: The relative errors of the wrong ones, or None.
    """

    problem: str
    operator: str
    strategy: str
    ns: Spans
    cases: int
    judged: int
    rel_error_low: float | None
    rel_error_high: float | None


def wrong(source: Source) -> tuple[Wrong, ...]:
    """Every strategy that was wrong, by problem and operator."""
    judged = (record for record in to_records(source) if record.status in MEASURED)
    groups = []
    for (problem, operator, strategy), group in _grouped(judged, LINE).items():
        bad = [record for record in group if record.status == "wrong"]
        if bad:
            ns = spans((record.n for record in bad), (record.n for record in group))
            errors = [record.rel_error for record in bad if record.rel_error is not None]
            low, high = min(errors, default=None), max(errors, default=None)
            groups.append(Wrong(problem, operator, strategy, ns, len(bad), len(group), low, high))
    return tuple(groups)


@dataclass(frozen=True)
class Unmeasured:
    """Cases of one strategy that have no result, all for the same reason.

    Fields:
        problem, operator, strategy, status, reason: Which, and why.
        ns: Ranges of n.
        cases: How many.
    """

    problem: str
    operator: str
    strategy: str
    status: str
    reason: str
    ns: Spans
    cases: int


def unsupported(source: Source) -> tuple[Unmeasured, ...]:
    """What the strategies cannot do, with reasons."""
    return _unmeasured(source, lambda status: status == "unsupported")


def failures(source: Source) -> tuple[Unmeasured, ...]:
    """What was skipped or did not come to its end, with reasons."""
    return _unmeasured(source, lambda status: status not in (*MEASURED, "unsupported"))


def _unmeasured(source: Source, belongs: Callable[[str], bool]) -> tuple[Unmeasured, ...]:
    records = to_records(source)
    tried = _grouped(records, LINE)
    chosen = (record for record in records if belongs(record.status))
    groups = []
    for (*line, status, reason), group in _grouped(chosen, (*LINE, "status", "reason")).items():
        problem, operator, strategy = line
        ns = spans((record.n for record in group), (record.n for record in tried[tuple(line)]))
        groups.append(Unmeasured(problem, operator, strategy, status, reason, ns, len(group)))
    return tuple(groups)


def _grouped(records: Iterable[Record], columns: Sequence[str]) -> dict[tuple[Any, ...], list[Record]]:
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for record in records:
        groups.setdefault(tuple(getattr(record, name) for name in columns), []).append(record)
    return groups


@dataclass(frozen=True)
class Growth:
    """The fit column ~ n^exponent for a strategy of one setting.

    Fields:
        setting, strategy: Which.
        exponent: Slope of the logarithm of the column over log n, by least squares.
        std_error: Standard error of the slope.
        n_low, n_high, points: What was fitted: the larger half of the n's.
    """

    setting: Setting
    strategy: str
    exponent: float
    std_error: float
    n_low: int
    n_high: int
    points: int

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % confidence interval of the exponent, by Student's t with two degrees of freedom less than points."""
        half = student_quantile(CONFIDENCE, self.points - 2) * self.std_error
        return self.exponent - half, self.exponent + half


def growths(source: Source, column: str = "median_s") -> tuple[Growth, ...]:
    """How a column grows with n, over the larger half of the n's of each strategy, where that has 3 points or more.

    A logarithm has no place for 0 or infinity: an exact result is no point of an error's growth. The time of a wrong
    result is as true as any; its error grows with what the strategy leaves out, not with rounding, and does not count.
    """
    statuses = ("ok",) if column.endswith("_error") else MEASURED
    fits = []
    for setting, group in by_setting(to_records(source)).items():
        valued = [r for r in group if r.status in statuses and r.n > 0 and 0 < (getattr(r, column) or 0) < math.inf]
        for (strategy,), line in _grouped(valued, ("strategy",)).items():
            half = line[len(line) // 2 :]
            if len(half) >= 3:
                slope, error = _slope([(math.log(r.n), math.log(getattr(r, column))) for r in half])
                fits.append(Growth(setting, strategy, slope, error, half[0].n, half[-1].n, len(half)))
    return tuple(fits)


def _slope(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Slope of the least-squares line and its standard error, sqrt(sum e^2 / (m - 2) / sum (x - mean x)^2)."""
    m = len(points)
    x_mean, y_mean = sum(x for x, _ in points) / m, sum(y for _, y in points) / m
    spread = sum((x - x_mean) ** 2 for x, _ in points)
    slope = sum((x - x_mean) * (y - y_mean) for x, y in points) / spread
    residual = sum((y - y_mean - slope * (x - x_mean)) ** 2 for x, y in points)
    return slope, math.sqrt(residual / (m - 2) / spread)
