"""Two sets of records: what they have in common."""

from __future__ import annotations

import math
from dataclasses import replace

from jacstrat.compare.record_pair import RecordPair
from jacstrat.core.environment import UNKNOWN

from .conftest import HERE, changed, records_of, side_of


def test_cases_are_in_the_order_of_base() -> None:
    base, new = records_of((16, 4)), records_of((64, 16))
    pair = RecordPair(side_of(base), side_of(new))
    assert pair.common == [record.case for record in base if record.n == 16]
    assert pair.gone == [record.case for record in base if record.n == 4]
    assert pair.added == [record.case for record in new if record.n == 64]
    assert [*pair.before.index] == [*pair.after.index] == pair.common


def test_a_ratio_is_new_over_base_and_nan_where_one_side_has_none() -> None:
    records = records_of()
    base = [replace(record, f_median_s=2.0 if place else None) for place, record in enumerate(records)]
    new = changed([replace(record, f_median_s=3.0) for record in records])
    pair = RecordPair(side_of(base), side_of(new))
    first, *others = pair.ratios("f_median_s", pair.common)
    assert math.isnan(first)
    assert set(others) == {1.5}


def test_places_are_alike_only_as_far_as_both_are_known() -> None:
    records = records_of()

    def pair(**differences: str) -> RecordPair:
        return RecordPair(
            side_of(records, environment=HERE), side_of(records, environment=replace(HERE, **differences))
        )

    same, built, newer, elsewhere = pair(), pair(torch=HERE.torch + "+cu126"), pair(torch="9.9.9"), pair(machine="def")
    unknown = RecordPair(side_of(records, environment=HERE), side_of(records, environment=UNKNOWN))
    assert [each.same_machine for each in (same, built, newer, elsewhere, unknown)] == [True, True, True, False, False]
    assert [each.same_torch for each in (same, built, newer, elsewhere, unknown)] == [True, True, False, True, True]
    assert [each.same_place for each in (same, built, newer, elsewhere, unknown)] == [True, False, False, False, False]
