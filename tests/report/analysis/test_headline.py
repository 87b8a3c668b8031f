"""Each sentence of the headline is made again from the CSV, by code that shares nothing with what made it."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from math import log
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jacstrat.record import Record
from jacstrat.records import RecordWriter, read_records
from jacstrat.report.analysis.headline import MOST_RANGES, headline
from tests.report.conftest import make, stochastic_rows

Make = Callable[..., Record]
FrameOf = Callable[[Iterable[Record]], pd.DataFrame]
Row = dict[str, str]
PEOPLE = {"laplacian": "Laplacian", "jacobian": "Jacobian", "hessian": "Hessian"}


def number(text: str) -> float | None:
    return float(text) if text else None


def joined(words: Iterable[object]) -> str:
    found = [str(word) for word in words]
    return found[0] if len(found) == 1 else f"{', '.join(found[:-1])} and {found[-1]}"


def shown(multiple: float) -> str:
    for digits, limit in ((2, 1.995), (1, 9.95)):
        if multiple < limit:
            return f"{multiple:.{digits}f}"
    return str(round(multiple))


def level(row: Row, first: Row) -> bool:
    """Whether a row cannot be told from the fastest."""
    if row["over_fastest_low"]:
        return float(row["over_fastest_low"]) <= 1
    if row["over_fastest"] and float(row["over_fastest"]) <= 1:
        return True
    ends = number(row["ci_low_s"]), number(first["ci_high_s"])
    return None not in ends and ends[0] <= ends[1]


def multiple(row: Row, first: Row) -> float:
    """Its time over that of the fastest: by round, else of the medians."""
    return number(row["over_fastest"]) or float(row["median_s"]) / float(first["median_s"])


class Told:
    """What one setting's rows say, read off the CSV."""

    def __init__(self, rows: list[Row]) -> None:
        self.first_row = rows[0]
        self.ns = sorted({int(row["n"]) for row in rows})
        self.right: dict[int, list[Row]] = {}
        for n in self.ns:
            right = [r for r in rows if int(r["n"]) == n and r["status"] == "ok" and number(r["median_s"])]
            exact = sorted((r for r in right if not number(r["draws"])), key=lambda r: float(r["median_s"]))
            self.right[n] = exact[:1] + sorted(exact[1:], key=lambda r: multiple(r, exact[0]))
        self.judged = defaultdict(int)
        self.wrong = defaultdict(int)
        for row in rows:
            self.judged[row["strategy"]] += row["status"] in ("ok", "wrong")
            self.wrong[row["strategy"]] += row["status"] == "wrong"
        self.ranges = self._ranges()

    def best(self, n: int) -> list[str]:
        """The fastest right one, then all that are level with it."""
        right = self.right[n]
        return [r["strategy"] for r in right if r is right[0] or level(r, right[0])]

    def _ranges(self) -> list[tuple[int, int, str | None]]:
        """As few neighbouring n's as have one strategy that is level with the fastest at each of them."""
        found: list[tuple[int, int, str | None]] = []
        at = 0
        while at < len(self.ns):
            end = at
            common: set[str | None] = set(self.best(self.ns[at])) or {None}
            while end + 1 < len(self.ns):
                further = common & (set(self.best(self.ns[end + 1])) or {None})
                if not further:
                    break
                common, end = further, end + 1
            firsts = [(self.best(n) or [None])[0] for n in self.ns[at : end + 1]]
            winner = min(sorted(common, key=str), key=lambda name: -firsts.count(name))
            found.append((self.ns[at], self.ns[end], winner))
            at = end + 1
        return found

    def leads(self) -> list[tuple[str | None, float | None]]:
        """(the next right one, its multiple, None where level) at each n with a right one."""
        found = []
        for low, high, winner in self.ranges:
            for n in (n for n in self.ns if low <= n <= high and self.right[n]):
                right = self.right[n]
                if right[0]["strategy"] != winner:
                    found.append((right[0]["strategy"], None))
                elif len(right) == 1:
                    found.append((None, None))
                elif level(right[1], right[0]):
                    found.append((right[1]["strategy"], None))
                else:
                    found.append((right[1]["strategy"], multiple(right[1], right[0])))
        return found

    @property
    def everywhere(self) -> bool:
        return len(self.ranges) == 1 and len(self.ns) > 1 and self.ranges[0][2] is not None

    @property
    def kind(self) -> object:
        return ("everywhere", self.ranges[0][2]) if self.everywhere else tuple(self.ranges)


KEY = ("problem", "operator", "batch", "dtype", "device", "workload", "threads", "seed", "machine")


def named(key: tuple[str, ...]) -> dict[str, str]:
    return dict(zip(KEY, key, strict=True))


def expected(rows: list[Row]) -> set[str]:
    """The sentences that a CSV comes to."""
    latest = {row["case"]: row for row in rows}
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in latest.values():
        groups[tuple(row[name] for name in KEY)].append(row)
    blocks_of = {key: Told(own) for key, own in groups.items()}
    differing = [name for name in KEY[2:] if name != "seed" and len({named(k)[name] for k in blocks_of}) > 1]
    kinds = defaultdict(set)
    alike = defaultdict(list)
    for key, one in blocks_of.items():
        at = named(key)
        kinds[tuple(at[name] for name in ("problem", "operator", "device", "machine", "threads", "workload"))].add(
            one.kind
        )
    for key, one in blocks_of.items():
        at = named(key)
        place = tuple(at[name] for name in ("operator", "device", "machine", "threads", "workload"))
        many = len(kinds[(at["problem"], *place)]) > MOST_RANGES
        alike[(place, at["problem"] if many else one.kind, many)].append(one)
    return {sentence(group, differing) for group in alike.values()}


def scope(group: list[Told], differing: list[str]) -> str:
    words = []
    for name in differing:
        values = list(dict.fromkeys(one.first_row[name] for one in group))
        if name == "batch":
            words.append("B = " + joined(sorted(map(int, values))))
        elif name == "workload":
            words.append("" if values == ["evaluate"] else joined(values))
        elif name == "threads":
            words.append(joined("1 thread" if value == "1" else f"{value} threads" for value in values))
        elif name == "machine":
            words.append(joined(f"machine {value}" for value in values if value))
        else:
            words.append(joined(values))
    return ", ".join(filter(None, words))


def sentence(group: list[Told], differing: list[str]) -> str:
    operator = group[0].first_row["operator"]
    name = " ".join(PEOPLE.get(word, word) for word in operator.split("_"))
    subject = f"{name} of {joined(dict.fromkeys(one.first_row['problem'] for one in group))}"
    subject = subject[:1].upper() + subject[1:]
    if where := scope(group, differing):
        subject += f", {where}"
    text = f"{subject}: {answer(group)}"
    wrong, judged = defaultdict(int), defaultdict(int)
    for one in group:
        for strategy, count in one.wrong.items():
            wrong[strategy] += count
            judged[strategy] += one.judged[strategy]
    faults = sorted(((-count, strategy) for strategy, count in wrong.items() if count))
    said = [f"{strategy} is wrong in {-count} of {judged[strategy]} cases" for count, strategy in faults[:3]]
    said += [f"{len(faults) - 3} more are wrong"] if len(faults) > 3 else []
    return text + (f"; {joined(said)}" if said else "") + "."


def answer(group: list[Told]) -> str:
    found = [lead for one in group for lead in one.leads()]
    if not found:
        return "no right result"
    multiples = [multiple for _, multiple in found if multiple is not None]
    equals = [name for name, multiple in found if name is not None and multiple is None]
    names = joined(sorted(dict.fromkeys(equals), key=lambda name: -equals.count(name))) if equals else ""
    if not multiples:
        lead = f"level with {names}" if equals else "the only right one"
    elif equals:
        lead = f"up to {shown(max(multiples))} times as fast as the next right one, at {len(equals)} of {len(found)} "
        lead += f"sizes level with {names}"
    else:
        ends = dict.fromkeys((shown(min(multiples)), shown(max(multiples))))
        lead = f"{' to '.join(ends)} times as fast as the next right one"
    same = len({one.kind for one in group}) == 1
    if same and group[0].everywhere:
        bounds = {(one.ns[0], one.ns[-1]) for one in group}
        where = " from {} to {}".format(*next(iter(bounds))) if len(bounds) == 1 else ""
        winner = group[0].ranges[0][2]
        return f"{winner} at every n{where}, {lead}" if multiples and equals else f"{winner}, {lead} at every n{where}"
    ranges = group[0].ranges if same else [each for one in group for each in one.ranges]
    if same and len(ranges) <= MOST_RANGES:
        who = joined(
            f"{winner or 'no right result'} at n = {low}" + (f" to {high}" if high > low else "")
            for low, high, winner in ranges
        )
        return f"{who}, {lead}"
    sizes = defaultdict(int)
    for one in group[:1] if same else group:
        for low, high, winner in one.ranges:
            sizes[winner or "no right result"] += sum(low <= n <= high for n in one.ns)
    order = sorted(sizes, key=lambda name: (-sizes[name], name))
    said = [f"{name} at {sizes[name]}" for name in order[:3]]
    said += [f"others at {sum(sizes[name] for name in order[3:])}"] if len(order) > 3 else []
    return f"{joined(said)} of {sum(sizes.values())} sizes, {lead}"


def rows_of(file: Path) -> list[Row]:
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def test_the_reference_run_is_said_as_its_csv_says_it() -> None:
    file = Path("results/reference/records.csv")
    said = headline(read_records(file))
    assert set(said.sentences) == expected(rows_of(file))
    assert len(said.sentences) == len(set(said.sentences)) >= 5
    assert any("taylor" in sentence and "ones is wrong" in sentence for sentence in said.sentences)


@st.composite
def runs(draw: st.DrawFn) -> list[Record]:
    """Few problems, settings, n's and strategies, with everything that a sentence depends on."""
    found = []
    chosen = st.sampled_from
    for problem in draw(st.lists(chosen(["sin", "cos", "bratu"]), min_size=1, unique=True)):
        for dtype in draw(st.lists(chosen(["float32", "float64"]), min_size=1, unique=True)):
            for batch in draw(st.lists(chosen([1, 16, 64]), min_size=1, unique=True)):
                for n in draw(st.lists(chosen([1, 2, 8, 32]), min_size=1, unique=True)):
                    for strategy in ("ones", "vmap", "jvp", "taylor"):
                        status = draw(chosen(["ok", "ok", "ok", "wrong", "timeout"]))
                        median_s = draw(chosen([1e-6, 2e-6, 2.1e-6, 9e-6]))
                        ratio = draw(st.one_of(st.none(), st.floats(0.5, 40)))
                        values = {} if ratio is None else {"over_fastest": ratio}
                        if values and draw(st.booleans()):
                            values["over_fastest_low"] = ratio * 0.95
                        half = draw(chosen([0.01, 0.2]))
                        found.append(
                            make(
                                problem=problem,
                                operator=draw(chosen(["divergence"])),
                                dtype=dtype,
                                batch=batch,
                                n=n,
                                strategy=strategy,
                                status=status,
                                median_s=None if status == "timeout" else median_s,
                                ci_low_s=median_s * (1 - half),
                                ci_high_s=median_s * (1 + half),
                                workload="train" if problem == "cos" else "evaluate",
                                **values,
                            )
                        )
    return found


@settings(max_examples=15, deadline=None)
@given(runs())
def test_any_run_is_said_as_its_csv_says_it(tmp_path_factory: pytest.TempPathFactory, records: list[Record]) -> None:
    directory = tmp_path_factory.mktemp("run")
    with RecordWriter(directory) as writer:
        for record in records:
            writer.write(record)
    assert set(headline(read_records(directory)).sentences) == expected(rows_of(directory / "records.csv"))


def test_the_totals_are_counts_of_the_csv(record: Make, frame_of: FrameOf) -> None:
    rows = [record(n=1), record(n=2, status="wrong"), record(n=4, status="oom", median_s=None), record(n=8, samples=3)]
    said = headline(frame_of(rows)).totals
    assert said == "2 of 4 results are right, 1 wrong, 1 missing and 1 time is doubtful."
    assert headline(frame_of(rows[:1])).totals == "1 of 1 results are right."


def drawn_sentence(rows: list[Row]) -> str:
    """What the rows of one setting say of random probes at the largest n: the soonest family within 0.01."""
    told = Told(rows)
    n = told.ns[-1]
    first = told.right[n][0]
    budgets = defaultdict(list)
    for row in rows:
        if int(row["n"]) == n and number(row["draws"]):
            products = int(row["vjp_products"] or 0) + int(row["jvp_products"] or 0)
            name = row["strategy"].split(":")[0]
            budgets[name].append((products, float(row["rel_error"]), float(row["median_s"])))
    reached = []
    for name, line in budgets.items():
        line.sort()
        for (_, error, time), (_, next_error, next_time) in zip(line, [*line[1:], line[-1]], strict=True):
            if error <= 0.01:
                reached.append((time, name))
            elif name == "hutchinson":
                reached.append((time * (error / 0.01) ** 2, name))
            elif next_error <= 0.01:
                # On the straight line through both in logarithms.
                slope = log(next_time / time) / log(next_error / error)
                reached.append((time * (0.01 / error) ** slope, name))
    time, name = min(reached)
    over = time / float(first["median_s"])
    where, at = f"Divergence of sin, float64, cpu, B = 1: random probes by {name}", f"at n = {n}."
    exact = first["strategy"]
    if over > 100:
        return f"{where} would take more than 100 times the time of {exact} for a relative error of 0.01 {at}"
    multiple = shown(over) if over >= 1 else f"{over:.3f}"
    return f"{where} are within a relative error of 0.01 in {multiple} times the time of {exact} {at}"


@pytest.mark.parametrize("slower", [1, 10, 1000])
def test_what_is_said_of_random_probes_is_what_the_csv_says(
    slower: float, record: Make, drawn: Make, tmp_path: Path
) -> None:
    with RecordWriter(tmp_path) as writer:
        for row in stochastic_rows(record, drawn):
            writer.write(replace(row, median_s=row.median_s * slower) if row.draws else row)
    (said,) = headline(read_records(tmp_path)).random
    assert said == drawn_sentence(rows_of(tmp_path / "records.csv"))
    assert ("more than 100" in said) == (slower == 1000)
