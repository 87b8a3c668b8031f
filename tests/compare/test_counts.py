"""The gate of counts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jacstrat.compare.comparison import compare
from jacstrat.compare.counts import COUNTS, PRODUCTS
from jacstrat.compare.verdict import Gate, Verdict
from jacstrat.record import COLUMNS

from .conftest import HERE, changed, only, records_of, side_of

ELSEWHERE = replace(HERE, machine="def", logical_cores=64)
OTHER_TORCH = replace(HERE, torch="2.10.0+cpu")


def test_counts_are_columns() -> None:
    assert set(COUNTS) <= set(COLUMNS)


@pytest.mark.parametrize("place", [HERE, ELSEWHERE], ids=["same machine", "another machine"])
@pytest.mark.parametrize("name", COUNTS)
def test_one_more_of_anything_is_a_regression_on_any_machine(name: str, place) -> None:
    base = records_of()
    more = getattr(base[3], name) + 1
    comparison = compare(side_of(base), side_of(changed(base, **{name: more}), environment=place))
    (finding,) = only(comparison).findings
    assert (finding.gate, finding.verdict, finding.measure) == (Gate.COUNTS, Verdict.WORSE, name)
    assert (finding.base, finding.new, finding.regression) == (more - 1, more, True)
    assert comparison.exit_code == 1


@pytest.mark.parametrize("name", COUNTS)
def test_one_less_is_told_and_no_regression(name: str) -> None:
    base = records_of(jvp_products=7)
    less = getattr(base[3], name) - 1
    comparison = compare(side_of(base), side_of(changed(base, **{name: less})))
    assert only(comparison).verdict is Verdict.BETTER
    assert f"{name} {less + 1} -> {less}" in only(comparison).reason
    assert comparison.exit_code == 0


@pytest.mark.parametrize("name", COUNTS)
def test_another_torch_explains_operations_and_no_product(name: str) -> None:
    base = records_of()
    new = side_of(changed(base, **{name: getattr(base[3], name) + 1}), environment=OTHER_TORCH)
    comparison = compare(side_of(base), new)
    assert only(comparison).verdict is Verdict.WORSE
    assert comparison.exit_code == (1 if name in PRODUCTS else 0)
    assert ("with another torch" in only(comparison).reason) == (name not in PRODUCTS)
    assert "environments differ: torch 2.9.0+cpu against 2.10.0+cpu" in comparison.notes


def test_another_build_of_one_release_is_the_same_torch() -> None:
    base = records_of()
    new = side_of(changed(base, aten_ops=53), environment=replace(HERE, torch="2.9.0+cu128"))
    assert compare(side_of(base), new).exit_code == 1


@pytest.mark.parametrize(("device", "code"), [("cpu", 1), ("cuda", 0)])
def test_the_peak_of_an_accelerator_is_of_its_kind(device: str, code: int) -> None:
    base = [replace(record, device=device) for record in records_of()]
    new = side_of(changed(base, peak_bytes=2000), environment=ELSEWHERE)
    comparison = compare(side_of(base), new)
    assert comparison.exit_code == code
    assert only(comparison).verdict is Verdict.WORSE


def test_a_count_that_is_not_there_any_more_is_not_the_same() -> None:
    base = records_of()
    comparison = compare(side_of(base), side_of(changed(base, flops=None)))
    assert only(comparison).verdict is Verdict.AMBIGUOUS
    assert only(comparison).reason == "flops was 640, now it is not counted"
    # What BASE did not count there is nothing to say of.
    other = compare(side_of(changed(base, flops=None)), side_of(base))
    assert other.counts == {Verdict.SAME: 10}


def test_changes_are_told_in_per_cent_and_small_ones_as_they_are() -> None:
    base = records_of(peak_bytes=10_000_000, aten_ops=0)
    new = changed(base, peak_bytes=10_000_100, aten_ops=3)
    assert only(compare(side_of(base), side_of(new))).reason == (
        "aten_ops 0 -> 3; peak_bytes 10000000 -> 10000100 (+1e-05)"
    )
