"""The headline of a run: a few sentences made from its records, each of which its records.csv gives again.

The settings of an operator that are won alike, by the same strategies at the same n's, in one place, share a sentence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from jacstrat.record import Record
from jacstrat.report.analysis.answers import MEASURED, Winner, WinnerRange, winner_ranges
from jacstrat.report.analysis.noisy_times import NoisyTime, noisy_times
from jacstrat.report.analysis.setting import Setting, Source, by_setting, quantity, to_records, varying
from jacstrat.report.analysis.stochastic import TARGET, Crossover, crossovers
from jacstrat.report.analysis.units import format_multiple, listed

MOST_RANGES = 3
"""Of more ranges of n, or settings of a quantity that are won differently, a sentence counts sizes instead."""
MOST_NAMES = 3
MOST_SENTENCES = 6
"""Sentences that are read at a glance; the others are folded on the page, and counted on a terminal."""
MOST_TIMES = 100
"""Of random probes that take longer than so many times an exact strategy it does not matter how long."""
NOTHING_RIGHT = "no right result"


@dataclass(frozen=True)
class Won:
    """Neighbouring n's of a setting, and the strategy that is fastest, or level with the fastest, at each of them.

    Fields:
        n_low, n_high, sizes: The ends, and how many n's.
        strategy: Which; None where no result is right.
        size: The letter of what the ends are: n or B.
    """

    n_low: int
    n_high: int
    sizes: int
    strategy: str | None
    size: str = "n"

    @property
    def at(self) -> str:
        """Where, in words: "n = 8 to 128"."""
        return f"{self.size} = {self.n_low}" + (f" to {self.n_high}" if self.n_high > self.n_low else "")


@dataclass(frozen=True)
class WrongCount:
    """A strategy that is wrong in some of its cases that have a result."""

    strategy: str
    wrong: int
    judged: int


@dataclass(frozen=True)
class Statement:
    """One sentence of the headline, as data. A size is one n of one setting.

    Fields:
        settings: Those that are won alike, in their order.
        won: Who wins where, in the order of n; the same of several settings stands once.
        everywhere: One strategy wins at every n of each setting, and each has several.
        leads: The next right strategy's multiple of the winner's time, at each size where the two can be told apart.
        level: The next right strategies that cannot be told from the winner, and at how many sizes.
        alone: At how many sizes no other strategy is right.
        wrong: Who is wrong, most cases first.
    """

    settings: tuple[Setting, ...]
    won: tuple[Won, ...]
    everywhere: bool
    leads: tuple[float, ...]
    level: tuple[tuple[str, int], ...]
    alone: int
    wrong: tuple[WrongCount, ...]

    @property
    def subject(self) -> str:
        """The operator and its problems: "Laplacian of rosenbrock and tanh_scalar"."""
        name = quantity(self.settings[0].operator, listed(dict.fromkeys(one.problem for one in self.settings)))
        return name[:1].upper() + name[1:]

    def scope(self, differing: Iterable[str]) -> str:
        """What else the settings are, in words: "B = 1 and 16, float32, train"; "evaluate" goes without saying."""
        words = []
        for column in differing:
            if column == "workload" and {one.workload for one in self.settings} == {"evaluate"}:
                continue
            distinct = {getattr(one, column): one for one in self.settings}
            if column == "batch":
                words.append(f"B = {listed(map(str, sorted(distinct)))}")
            else:
                words.append(listed(one.words([column]) for one in distinct.values()))
        return ", ".join(filter(None, words))

    @property
    def answer(self) -> str:
        """Who is fastest, by how much, and where."""
        sizes = len(self.leads) + sum(count for _, count in self.level) + self.alone
        if not sizes:
            return NOTHING_RIGHT
        if self.everywhere:
            ends = {one.at for one in self.won}
            where = f" from {self.won[0].n_low} to {self.won[0].n_high}" if len(ends) == 1 else ""
            first, everywhere = self.won[0], f"at every {self.won[0].size}{where}"
            if self.level and self.leads:
                return f"{first.strategy} {everywhere}, {self._lead(sizes)}"
            return f"{first.strategy}, {self._lead(sizes)} {everywhere}"
        return f"{self._who()}, {self._lead(sizes)}"

    def _who(self) -> str:
        if len(self.won) <= MOST_RANGES:
            return listed(f"{one.strategy or NOTHING_RIGHT} at {one.at}" for one in self.won)
        sizes: Counter[str] = Counter()
        for one in self.won:
            sizes[one.strategy or NOTHING_RIGHT] += one.sizes
        names = sorted(sizes, key=lambda name: (-sizes[name], name))
        shown = [f"{name} at {sizes[name]}" for name in names[:MOST_NAMES]]
        rest = sum(sizes[name] for name in names[MOST_NAMES:])
        return f"{listed([*shown, *([f'others at {rest}'] if rest else [])])} of {sizes.total()} sizes"

    def _lead(self, sizes: int) -> str:
        level = sum(count for _, count in self.level)
        if not self.leads:
            return f"level with {listed(name for name, _ in self.level)}" if level else "the only right one"
        low, high = format_multiple(min(self.leads)), format_multiple(max(self.leads))
        if level:
            names = listed(name for name, _ in self.level)
            return f"up to {high} times as fast as the next right one, at {level} of {sizes} sizes level with {names}"
        return f"{low if low == high else f'{low} to {high}'} times as fast as the next right one"

    @property
    def faults(self) -> str:
        """Who is wrong, in words; "" where nobody is."""
        shown = [f"{one.strategy} is wrong in {one.wrong} of {one.judged} cases" for one in self.wrong[:MOST_NAMES]]
        rest = len(self.wrong) - len(shown)
        return listed([*shown, *([f"{rest} more are wrong"] if rest else [])])

    def sentence(self, differing: Iterable[str] = ()) -> str:
        """The whole sentence, on one line.

        Args:
            differing: The columns to be named: those in which the settings of the run differ.
        """
        subject = ", ".join(filter(None, (self.subject, self.scope(differing))))
        return "; ".join(filter(None, (f"{subject}: {self.answer}", self.faults))) + "."


@dataclass(frozen=True)
class Headline:
    """What is said first.

    Fields:
        statements: Those of several n's first.
        differing: The columns in which their settings differ, which a sentence names.
        random: Sentences of stochastic strategies.
        totals: How many cases are right, wrong, doubtful.
    """

    statements: tuple[Statement, ...]
    differing: tuple[str, ...]
    random: tuple[str, ...]
    totals: str

    @property
    def sentences(self) -> tuple[str, ...]:
        """Each statement as a sentence, then those of stochastic strategies."""
        return (*(one.sentence(self.differing) for one in self.statements), *self.random)


def headline(
    source: Source, ranges: Sequence[WinnerRange] | None = None, doubtful: Sequence[NoisyTime] | None = None
) -> Headline:
    """The headline of some records.

    Args:
        source: Records.
        ranges, doubtful: Their `winner_ranges` and `noisy_times`, where they are at hand.
    """
    records = to_records(source)
    stated = statements(records, winner_ranges(records) if ranges is None else ranges)
    differing = varying(setting for one in stated for setting in one.settings)
    random = [_sooner(one) for one in _soonest(crossovers(records))] if any(r.draws for r in records) else []
    return Headline(
        stated,
        tuple(name for name in differing if name != "seed"),
        tuple(random),
        totals(records, noisy_times(records) if doubtful is None else doubtful),
    )


def statements(records: Sequence[Record], found_ranges: Sequence[WinnerRange]) -> tuple[Statement, ...]:
    """What is said of the settings, those of several n's first, from their records and `winner_ranges`."""
    groups = by_setting(records)
    ranges: dict[Setting, list[WinnerRange]] = {}
    for one in found_ranges:
        ranges.setdefault(one.setting, []).append(one)
    alike: dict[tuple[object, ...], list[Setting]] = {}
    kinds: dict[tuple[object, ...], set[tuple[object, ...]]] = {}
    for setting, its_ranges in ranges.items():
        kinds.setdefault(_quantity(setting), set()).add(_kind(its_ranges))
    for setting, its_ranges in ranges.items():
        circumstances = (setting.operator, setting.device, setting.machine, setting.threads, setting.workload)
        many = len(kinds[_quantity(setting)]) > MOST_RANGES
        alike.setdefault(
            (*circumstances, setting.problem) if many else (*circumstances, *_kind(its_ranges)), []
        ).append(setting)
    stated = [_statement({one: ranges[one] for one in settings}, groups) for settings in alike.values()]
    return tuple(sorted(stated, key=lambda one: all(won.sizes == 1 for won in one.won)))


def statement_of(setting: Setting, records: Sequence[Record]) -> Statement:
    """What is said of one setting by itself."""
    return _statement({setting: list(winner_ranges(records))}, {setting: records})


def _quantity(setting: Setting) -> tuple[object, ...]:
    """What a sentence may be about at most."""
    return setting.problem, setting.operator, setting.device, setting.machine, setting.threads, setting.workload


def _kind(ranges: Sequence[WinnerRange]) -> tuple[object, ...]:
    """How a setting is won: by one strategy at every n, or by which ones at which n's."""
    if _everywhere(ranges):
        return ("everywhere", ranges[0].strategy)
    return tuple((one.n_low, one.n_high, one.strategy) for one in ranges)


def _everywhere(ranges: Sequence[WinnerRange]) -> bool:
    return len(ranges) == 1 and len(ranges[0].winners) > 1


def _statement(
    ranges: Mapping[Setting, Sequence[WinnerRange]], groups: Mapping[Setting, Sequence[Record]]
) -> Statement:
    leads, level, alone = [], Counter[str](), 0
    for one in (one for its_ranges in ranges.values() for one in its_ranges):
        for winner in one.winners:
            following, factor = _next(winner, one.strategy)
            if following is None:
                alone += 1
            elif factor is None:
                level[following] += 1
            else:
                leads.append(factor)
    won = [_won(one, groups[setting]) for setting, its_ranges in ranges.items() for one in its_ranges]
    everywhere = all(map(_everywhere, ranges.values()))
    # Settings that are counted together because they are many keep each range; those won alike share it.
    distinct = len({_kind(its_ranges) for its_ranges in ranges.values()}) > 1
    return Statement(
        tuple(ranges),
        tuple(won) if distinct else tuple(dict.fromkeys(won)),
        everywhere and not distinct,
        tuple(leads),
        tuple(level.most_common()),
        alone,
        _wrong(record for setting in ranges for record in groups[setting]),
    )


def _won(winner_range: WinnerRange, records: Sequence[Record]) -> Won:
    sizes = {record.n for record in records if winner_range.n_low <= record.n <= winner_range.n_high}
    return Won(winner_range.n_low, winner_range.n_high, len(sizes), winner_range.strategy, winner_range.setting.size)


def _next(winner: Winner, strategy: str | None) -> tuple[str | None, float | None]:
    """The next right strategy after the one that won the range, and its multiple; None where the two are level."""
    if strategy != winner.strategy:
        return winner.strategy, None
    return winner.runner_up, winner.over_next


def _wrong(records: Iterable[Record]) -> tuple[WrongCount, ...]:
    judged, wrong = Counter[str](), Counter[str]()
    for record in records:
        judged[record.strategy] += record.status in MEASURED
        wrong[record.strategy] += record.status == "wrong"
    counts = [WrongCount(name, count, judged[name]) for name, count in wrong.items() if count]
    return tuple(sorted(counts, key=lambda one: (-one.wrong, one.strategy)))


def totals(records: Sequence[Record], doubtful_times: Sequence[NoisyTime]) -> str:
    """How many cases are right, wrong and without a result, and how many times are to be doubted, in a sentence."""
    counts = Counter(record.status for record in records)
    nothing = len(records) - counts["ok"] - counts["wrong"]
    doubtful = len(doubtful_times)
    parts = [f"{counts['ok']} of {len(records)} results are right"]
    parts += [f"{counts['wrong']} wrong"] if counts["wrong"] else []
    parts += [f"{nothing} missing"] if nothing else []
    parts += [f"{doubtful} time{' is' if doubtful == 1 else 's are'} doubtful"] if doubtful else []
    return f"{listed(parts)}."


def _soonest(of_families: Iterable[Crossover]) -> list[Crossover]:
    """Of each setting the family of random probes that is soonest at the target, at the largest n; none without."""
    best: dict[Setting, Crossover] = {}
    for one in of_families:
        time = one.largest.over_exact
        if time is not None and (one.setting not in best or time < (best[one.setting].largest.over_exact or 0)):
            best[one.setting] = one
    return list(best.values())


def _sooner(first: Crossover) -> str:
    family, over = first.largest, first.largest.over_exact or 0.0
    who = f"{first.setting.title()}: random probes by {first.strategy}"
    if over > MOST_TIMES:
        return (
            f"{who} would take more than {MOST_TIMES} times the time of {family.exact} for a relative error of "
            f"{TARGET:g} at n = {family.n}."
        )
    return (
        f"{who} are within a relative error of {TARGET:g} in {format_multiple(over)} times the time of {family.exact} "
        f"at n = {family.n}."
    )
