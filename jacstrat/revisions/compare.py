"""Two revisions, from their names to the verdict on every case."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from jacstrat.compare.comparison import compare
from jacstrat.compare.inputs import RecordSet
from jacstrat.compare.pairs import LEAST_PAIRS, Pair, judge_pairs, undecided
from jacstrat.compare.thresholds import Thresholds
from jacstrat.compare.verdict import Comparison, Finding, Gate, Verdict
from jacstrat.core.environment import Snapshot
from jacstrat.harness.dispatch.strays import temporary_folder
from jacstrat.record import Record
from jacstrat.records import to_frame
from jacstrat.revisions.cores import idlest
from jacstrat.revisions.install import interpreters
from jacstrat.revisions.interleave import TIME_LIMIT, Blocks, Interleaved, RoundLimits, interleave
from jacstrat.revisions.processes import Installed, RevisionPair
from jacstrat.revisions.results import environment
from jacstrat.revisions.survey import SIDES, Selection, Survey, survey
from jacstrat.revisions.tree import Tree, checked_out, cleared_away

# Without a common parent two processes differ by 5 to 10 % in the time of the same code: what is called SLOWER or
# FASTER then lies beyond that, too.
APART = 0.1


@dataclass(frozen=True)
class Measured:
    """What two revisions have, and how long it took.

    Fields:
        trees: By side, "base" and "new".
        survey: Cases, counts and errors of both.
        interleaved: Times of both.
        share_a_parent: Both were children of one process.
    """

    trees: Mapping[str, Tree]
    survey: Survey
    interleaved: Interleaved
    share_a_parent: bool


@contextmanager
def revision_pair_of(
    here: Path,
    base: str,
    new: str | None,
    step_s: float,
    install: bool = False,
    say: Callable[[str], object] = lambda line: None,
) -> Iterator[RevisionPair]:
    """Both revisions checked out, installed and ready to be measured; nothing is left of them after the block.

    Args:
        here: The user's working directory, in a git repository.
        base: A revision.
        new: Another, or None for the working tree.
        step_s: A side that does not answer for so long is ended.
        install: Make an environment for each, also where only Python files differ.
        say: Told what takes long.

    Raises:
        UsageError: There is no repository, or no such revision.
        BuildError: A revision cannot be installed.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder()).resolve()
        stack.enter_context(cleared_away(here, folder))
        revisions = {"base": base, "new": new}
        trees = [stack.enter_context(checked_out(here, revisions[side], folder / side)) for side in SIDES]
        pythons = interpreters(trees, here, folder, install, say)
        installed = [
            Installed(tree, python, folder / f"choices-{side}")
            for side, tree, python in zip(SIDES, trees, pythons, strict=True)
        ]
        yield stack.enter_context(RevisionPair(installed[0], installed[1], limit_s=step_s))


def measure(
    revision_pair: RevisionPair,
    selection: Selection,
    thresholds: Thresholds,
    limits: RoundLimits,
    seed: int = 0,
    attend: Callable[[str, int | None], object] = lambda case, pair: None,
) -> Measured:
    """Counts and errors of both revisions, and their times until every case has its verdict or the time is up.

    Args:
        revision_pair: Both revisions.
        selection: Which cases.
        thresholds: How much slower is too slow.
        limits: How long to go on.
        seed: Of the order of cases and blocks.
        attend: Told the case under way, and the number of the pair of processes, None while nothing is timed.

    Raises:
        UsageError: Neither revision has what was asked for.
        DiedError, RefusedError: A revision cannot be imported.
    """
    surveyed = survey(revision_pair, selection, lambda case: attend(case, None))
    return time_cases(revision_pair, surveyed, thresholds, limits, seed, attend)


def time_cases(
    revision_pair: RevisionPair,
    surveyed: Survey,
    thresholds: Thresholds,
    limits: RoundLimits,
    seed: int = 0,
    attend: Callable[[str, int | None], object] = lambda case, pair: None,
) -> Measured:
    """The second half of `measure`: times of what a survey found."""
    bounds = _bounds(surveyed, thresholds, revision_pair.share_a_parent)

    def open_still(blocks: Mapping[str, Sequence[Blocks]]) -> set[str]:
        return undecided(_pairs(blocks), bounds)

    shared_cases = surveyed.shared_cases
    threads = max((int(shared_case.new["threads"]) for shared_case in shared_cases), default=1)
    times = interleave(
        revision_pair, shared_cases, open_still, limits, random.Random(seed), lambda: idlest(threads), attend
    )
    trees = {"base": revision_pair.base.tree, "new": revision_pair.new.tree}
    return Measured(trees, surveyed, times, revision_pair.share_a_parent)


def verdicts(measured: Measured, thresholds: Thresholds) -> Comparison:
    """What the three gates say of every case.

    Raises:
        NothingToCompareError: No case is in both, or a revision has no result of any.
    """
    surveyed, times = measured.survey, measured.interleaved
    sides = [
        RecordSet(
            str(measured.trees[side]),
            to_frame(list(surveyed.records[side].values())),
            {},
            Snapshot.of(environment(surveyed.environments[side], measured.trees[side])),
        )
        for side in SIDES
    ]
    # The rows have no times; the blocks do.
    counted = compare(sides[0], sides[1], thresholds, times=False)
    bounds = _bounds(surveyed, thresholds, measured.share_a_parent)
    judged = judge_pairs(_pairs(times.blocks), bounds) if times.blocks else {}
    judged |= {
        shared_case.key: _untimed(shared_case.key, times)
        for shared_case in surveyed.shared_cases
        if shared_case.key not in judged
    }
    cases = tuple(
        replace(case, findings=(*case.findings, judged[case.case])) if case.case in judged else case
        for case in counted.cases
    )
    return replace(counted, cases=cases, notes=(*surveyed.notes, *counted.notes, *_about_times(measured, judged)))


def _untimed(case: str, times: Interleaved) -> Finding:
    """Why a case that both have was not timed. A side that fails there and gave a result before is no SAME."""
    failure = times.failures.get(case)
    reason = f"{failure.side} was not timed, {failure.status}: {failure}" if failure else "the time was up before it"
    worse = failure is not None and failure.side == "new"
    return Finding(
        gate=Gate.TIME, verdict=Verdict.WORSE if worse else Verdict.AMBIGUOUS, reason=reason, regression=worse
    )


def _about_times(measured: Measured, judged: Mapping[str, Finding]) -> Iterator[str]:
    times = measured.interleaved
    if times.pairs:
        yield f"times of {len(times.blocks)} cases over {times.pairs} pairs of processes, {times.spent_s:.0f} s"
    if times.stopped == TIME_LIMIT:
        few = sum(len(blocks) < LEAST_PAIRS for blocks in times.blocks.values())
        without = f"; {few} have fewer than the {LEAST_PAIRS} pairs that a verdict needs" if few else ""
        yield f"the time limit ended the measurement{without}; a longer --time-limit decides more"
    if not measured.share_a_parent:
        yield (
            "the revisions have environments of their own, whose processes differ by up to 10 % by themselves: "
            f"{APART:.0%} is added to the thresholds of time"
        )


def _bounds(surveyed: Survey, thresholds: Thresholds, share_a_parent: bool) -> dict[str, float]:
    def bound(record: Record) -> float:
        threshold = thresholds.of(record.case, record.strategy, record.problem)
        return threshold if share_a_parent else (1 + threshold) * (1 + APART) - 1

    return {case: bound(record) for case, record in surveyed.records["new"].items()}


def _pairs(blocks: Mapping[str, Sequence[Blocks]]) -> dict[str, list[Pair]]:
    return {case: [(each.base, each.new) for each in several] for case, several in blocks.items()}
