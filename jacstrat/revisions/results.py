"""The directory of a comparison of two revisions: that of a run for each, and the verdicts."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from jacstrat.core.environment import Session, of_revision, write_sessions
from jacstrat.record import Record
from jacstrat.records import RecordWriter
from jacstrat.revisions.interleave import Blocks
from jacstrat.revisions.survey import SIDES, Survey
from jacstrat.revisions.tree import Tree
from jacstrat.statistics import summarise


def write(directory: Path, trees: Mapping[str, Tree], survey: Survey, blocks: Mapping[str, Sequence[Blocks]]) -> None:
    """Write `base` and `new`, each as `jacstrat run` writes its directory.

    Their samples share one session, so that rounds of the two can be paired; `pairs` says which pair of processes each
    round belongs to.

    Args:
        directory: Made if need be.
        trees: By side.
        survey: What both have.
        blocks: By case, a pair of processes each.
    """
    session = uuid.uuid4().hex[:8]
    for side in SIDES:
        its_directory = directory / side
        its_directory.mkdir(parents=True, exist_ok=True)
        write_sessions(its_directory, [Session({"start": environment(survey.environments[side], trees[side])})])
        with RecordWriter(its_directory) as writer:
            for case, record in survey.records[side].items():
                measured = blocks.get(case, ())
                if measured:
                    writer.write_samples(case, samples(measured, side, session))
                writer.write(timed(record, measured, side))


def environment(plain: Mapping[str, Any], tree: Tree) -> dict[str, Any]:
    """What a side tells of its environment, with the revision."""
    return of_revision(
        plain,
        name=tree.name,
        commit=tree.commit,
        dirty=tree.dirty,
        date=tree.date,
        is_jacstrat=tree.has_jacstrat,
    )


def timed(record: Record, blocks: Sequence[Blocks], side: str) -> Record:
    """The row with the times of all its blocks."""
    seconds = list(chain.from_iterable(getattr(each, side) for each in blocks))
    if not seconds:
        return record
    times = summarise(seconds)
    return replace(
        record,
        median_s=times.median,
        q1_s=times.q1,
        q3_s=times.q3,
        min_s=times.minimum,
        ci_low_s=times.low,
        ci_high_s=times.high,
        samples=times.samples,
    )


def samples(blocks: Sequence[Blocks], side: str, session: str) -> dict[str, Any]:
    """The blocks of a case, as samples.jsonl keeps them."""
    seconds = [getattr(each, side) for each in blocks]
    return {
        "session": session,
        "calls": blocks[0].calls,
        "rounds": list(range(sum(map(len, seconds)))),
        "pairs": [each.pair for each in blocks for _ in getattr(each, side)],
        "seconds": list(chain.from_iterable(seconds)),
    }
