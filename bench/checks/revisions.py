"""The same revision against itself, and against one that does a little more.

Every try is a comparison as `jacstrat compare --rev` makes it, of CASES random cases of the quick sweep; checking out,
counts and errors, which decide nothing here, are shared by all. In the second and third check one of the cases, another
one each time, is slower in the new revision: each of its calls computes something else besides, for a share of the time
that the call itself takes, which both of its processes find out when they prepare it.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from jacstrat.compare.thresholds import Thresholds
from jacstrat.compare.verdict import Comparison, Verdict
from jacstrat.revisions.compare import revision_pair_of, time_cases, verdicts
from jacstrat.revisions.interleave import RoundLimits, SharedCase
from jacstrat.revisions.processes import RevisionPair
from jacstrat.revisions.survey import Selection, Survey, survey

from .figure import Figure, table
from .program import EXIT_MISSED, essentials
from .spinner import busy_core

ROOT = Path(__file__).parents[2]
CASES = 2
FALSE_ALARMS, FOUND = 0.01, 0.95
SLOWER, SLIGHTLY = 0.10, 0.03
SWITCH = "slowed.json"
# Put at the end of strategies/base.py of the new revision. The shortest of several blocks is what a call takes where
# nothing interrupts it.
SLOWED = """

def _slowed(prepare):
    import json
    import math
    import time
    from dataclasses import replace
    from pathlib import Path

    def shortest_s(work, calls):
        times = []
        for _ in range(15):
            begin = time.perf_counter()
            for _ in range(calls):
                work()
            times.append((time.perf_counter() - begin) / calls)
        return min(times)

    def wrapper(self, operator, f, x, generator=None):
        prepared = prepare(self, operator, f, x, generator)
        slowed = json.loads(Path(__file__).parents[2].joinpath("{switch}").read_text())
        mine = [self.spec, operator, list(x.shape), str(x.dtype).removeprefix("torch."), x.requires_grad]
        if mine != slowed["case"]:
            return prepared

        def extra(count):
            total = 0.0
            for k in range(count):
                total += math.sqrt(k)
            return total

        prepared(x)
        call_s = shortest_s(lambda: prepared(x), max(1, round(1e-3 / shortest_s(lambda: prepared(x), 3))))
        count = round(slowed["share"] * call_s / shortest_s(lambda: extra(1000), 10) * 1000)

        def slower(x):
            extra(count)
            return prepared(x)

        return slower

    return wrapper


Strategy.prepare = _slowed(Strategy.prepare)
"""


@dataclass(frozen=True)
class Try:
    """One comparison.

    Fields:
        comparison: Its verdicts.
        slowed: The case that is slower, "" where none is.
        pairs: Pairs of processes.
        spent_s: Time of the measurement.
    """

    comparison: Comparison
    slowed: str
    pairs: int
    spent_s: float

    @property
    def cries_wolf(self) -> bool:
        """A case is SLOWER or FASTER, or the exit code is 1, though nothing differs."""
        moved = any(case.verdict in (Verdict.SLOWER, Verdict.FASTER) for case in self.comparison.cases)
        return moved or self.comparison.exit_code != 0

    @property
    def verdict(self) -> Verdict:
        """That on the case that is slower."""
        return next(case.verdict for case in self.comparison.cases if case.case == self.slowed)


@dataclass
class RevisionBench:
    """Both revisions, ready, and what they have."""

    revision_pair: RevisionPair
    surveyed: Survey
    rng: random.Random
    limits: RoundLimits

    def compare(self, share: float = 0.0) -> Try:
        """One comparison of CASES random cases, the first of which is slower by a share."""
        # What trains does more in a call than its strategy, so that a share of the latter is not one of the call.
        chosen = self.rng.choice(
            [shared_case.key for shared_case in self.surveyed.shared_cases if not share or _evaluates(shared_case)]
        )
        others = [shared_case.key for shared_case in self.surveyed.shared_cases if shared_case.key != chosen]
        cases = [chosen, *self.rng.sample(others, CASES - 1)]
        self._slow(cases[0] if share else "", share)
        measured = time_cases(
            self.revision_pair, self.surveyed.only(cases), Thresholds(), self.limits, seed=self.rng.getrandbits(32)
        )
        times = measured.interleaved
        return Try(verdicts(measured, Thresholds()), cases[0] if share else "", times.pairs, times.spent_s)

    def _slow(self, case: str, share: float) -> None:
        identity: list[object] = []
        if case:
            cell = self.surveyed.cells["new"][case]
            shape = [cell["batch"], cell["n"]]
            identity = [cell["strategies"][0], cell["operator"], shape, cell["dtype"], False]
        file = self.revision_pair.new.tree.path / SWITCH
        file.write_text(json.dumps({"case": identity, "share": share}), encoding="utf-8")


def _evaluates(shared_case: SharedCase) -> bool:
    return bool(shared_case.new["workload"] == "evaluate")


def compare_revisions(tries: int, limits: RoundLimits, say: bool = True) -> list[Figure]:
    """All three checks.

    Args:
        tries: Comparisons of the first two each; the third has half as many.
        limits: Of each comparison.
        say: Tell on standard error how far it is.
    """
    with ExitStack() as stack:
        revision_pair = stack.enter_context(revision_pair_of(ROOT, "HEAD", "HEAD", limits.step_s))
        slow_down(revision_pair)
        bench = RevisionBench(
            revision_pair,
            survey(revision_pair, Selection(sweep="quick", over={"threads": [1]})),
            random.Random(0),
            limits,
        )

        def several(count: int, what: str, share: float = 0.0) -> list[Try]:
            done = []
            for number in range(count):
                done.append(bench.compare(share))
                if say:
                    print(f"\r{what}: {number + 1} of {count}", end="", file=sys.stderr, flush=True)
            if say:
                print(file=sys.stderr)
            return done

        quiet = several(tries - tries // 2, "the same, quiet")
        with busy_core() as had:
            busy = several(tries // 2, "the same, beside a busy core")
            note = f"the other process had {had():.0%} of a core"
        slower = several(tries, f"slower by {SLOWER:.0%}", SLOWER)
        slightly = several(max(1, tries // 2), f"slower by {SLIGHTLY:.0%}", SLIGHTLY)
    return judge(quiet, busy, slower, slightly, note)


def slow_down(revision_pair: RevisionPair) -> None:
    """Have the new revision read SWITCH whenever it prepares a strategy."""
    file = revision_pair.new.tree.path / "jacstrat" / "strategies" / "base.py"
    text = file.read_text(encoding="utf-8") + SLOWED.replace("{switch}", SWITCH)
    file.write_text(text, encoding="utf-8")
    (revision_pair.new.tree.path / SWITCH).write_text(json.dumps({"case": [], "share": 0}), encoding="utf-8")


def judge(
    quiet: Sequence[Try], busy: Sequence[Try], slower: Sequence[Try], slightly: Sequence[Try], note: str = ""
) -> list[Figure]:
    """The share of false alarms, of slow cases that were found, and of slow cases that were called FASTER or SAME."""
    same = [*quiet, *busy]
    alarms = [one for one in same if one.cries_wolf]
    counts = Counter(case.verdict for one in same for case in one.comparison.cases)
    what = "the same revision twice, half of it beside a busy core: comparisons with SLOWER, FASTER or exit code 1"
    notes = (
        f"{len(alarms)} of {len(same)}, {sum(one in alarms for one in busy)} of them beside a busy core",
        _counted(counts),
        _effort(same),
        note,
        *(f"{case.case}: {case.reason}" for one in alarms for case in one.comparison.cases if case.reason),
    )
    figures = [Figure("aa", what, len(alarms) / len(same), FALSE_ALARMS, "%", note="; ".join(filter(None, notes)))]
    verdicts_of_slower = Counter(one.verdict for one in slower)
    figures.append(
        Figure(
            "ab",
            f"a random case slower by {SLOWER:.0%}: found",
            verdicts_of_slower[Verdict.SLOWER] / len(slower),
            FOUND,
            "%",
            at_least=True,
            note=f"{_counted(verdicts_of_slower)}; {_effort(slower)}",
        )
    )
    passed = Counter(one.verdict for one in slightly)
    for verdict in (Verdict.FASTER, Verdict.SAME):
        figures.append(
            Figure(
                "ab",
                f"a random case slower by {SLIGHTLY:.0%}: called {verdict}",
                passed[verdict] / len(slightly),
                0.0 if verdict is Verdict.FASTER else 0.05,
                "%",
                note=f"{_counted(passed)}; {_effort(slightly)}",
            )
        )
    return figures


def _counted(counts: Counter[Verdict]) -> str:
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())


def _effort(tries: Sequence[Try]) -> str:
    pairs = statistics.median(one.pairs for one in tries)
    return f"{pairs:g} pairs of processes and {statistics.median(one.spent_s for one in tries):.1f} s in the median"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the checks, print the table; exit code 0 where every target was met, else 1."""
    parser = argparse.ArgumentParser(description="Measure `jacstrat compare --rev`.")
    parser.add_argument("--tries", type=int, default=100, help="comparisons of a check [100]")
    parser.add_argument("--time-limit", type=float, default=15.0, help="seconds of a comparison [15]")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="write the figures there, too")
    options = parser.parse_args(arguments)

    from jacstrat.measure.environment import snapshot

    # Before the checks, since the load at the start is somebody else's work.
    environment = snapshot()
    begin = time.monotonic()
    figures = compare_revisions(options.tries, RoundLimits(time_s=options.time_limit))
    print(
        f"{essentials(environment)}\n\n{table(figures)}\nall of it took {(time.monotonic() - begin) / 60:.0f} minutes"
    )
    if options.out:
        content = {"environment": environment.at_end().to_json(), "figures": [figure.to_json() for figure in figures]}
        options.out.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    sys.exit(0 if all(figure.met for figure in figures) else EXIT_MISSED)
