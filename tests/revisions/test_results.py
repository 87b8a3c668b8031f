"""Blocks of a case as the row and the samples of either side."""

from __future__ import annotations

from jacstrat.revisions.interleave import Blocks
from jacstrat.revisions.results import samples, timed
from tests.rows import BARE

BLOCKS = (Blocks(0, 5, (1.0, 2.0), (3.0, 4.0)), Blocks(2, 5, (3.0,), (9.0,)))


def test_a_row_has_the_times_of_all_blocks_of_its_side() -> None:
    base, new = (timed(BARE, BLOCKS, side) for side in ("base", "new"))
    assert (base.median_s, base.min_s, base.samples) == (2.0, 1.0, 3)
    assert (new.median_s, new.min_s, new.samples) == (4.0, 3.0, 3)
    assert new.case == BARE.case


def test_a_row_that_was_not_timed_is_as_it_was() -> None:
    assert timed(BARE, (), "base") is BARE
    assert timed(BARE, (Blocks(0, 1, (), (1.0,)),), "base") is BARE


def test_samples_of_both_sides_have_the_same_rounds_and_pairs() -> None:
    base, new = (samples(BLOCKS, side, "s") for side in ("base", "new"))
    assert base == {"session": "s", "calls": 5, "rounds": [0, 1, 2], "pairs": [0, 0, 2], "seconds": [1.0, 2.0, 3.0]}
    assert new == {**base, "seconds": [3.0, 4.0, 9.0]}
