"""What bounds a case, from its columns alone."""

from __future__ import annotations

import pytest

from jacstrat.report.analysis.bound import bound_of, bound_sentences, cache_sentence
from jacstrat.report.analysis.case_sheets import records_sheets
from jacstrat.report.analysis.findings import findings
from tests.report.conftest import make


def case(device: str = "cuda", **columns):
    given = {"median_s": 100e-6, "kernel_s": 80e-6, "compute_s": 10e-6, "memory_s": 40e-6} | columns
    return make(device=device, **given)


@pytest.mark.parametrize(
    ("columns", "bound"),
    [
        ({"kernel_s": 40e-6}, "launch"),
        ({}, "memory"),
        ({"compute_s": 60e-6}, "compute"),
        ({"compute_s": 1e-6, "memory_s": 2e-6}, "latency"),
        ({"memory_s": None, "compute_s": 60e-6}, "compute"),
        ({"memory_s": None}, None),  # a compiled program: what it moves is not known
        ({"kernel_s": None}, None),
        ({"compute_s": None}, None),
        ({"median_s": None}, None),
        ({"device": "cpu", "kernel_s": None}, "overhead"),
        ({"device": "cpu", "kernel_s": None, "memory_s": 60e-6}, "memory"),
        ({"device": "cpu", "kernel_s": None, "compute_s": 70e-6}, "compute"),
        ({"device": "cuda:1", "kernel_s": 1e-6}, "launch"),
        # The time in kernels is that of warm calls.
        ({"cache": "cold", "cold_s": 100e-6}, None),
        ({"cache": "cold", "cold_s": 100e-6, "warm_s": 90e-6, "kernel_s": 46e-6}, "memory"),
        ({"cache": "cold", "cold_s": 100e-6, "warm_s": 90e-6, "kernel_s": 44e-6}, "launch"),
    ],
)
def test_a_bound_is_read_from_the_columns(columns: dict, bound: str | None) -> None:
    assert bound_of(case(**columns)) == bound


def test_the_sentence_counts_bounds_and_says_where_each_holds() -> None:
    records = [case(n=n, kernel_s=10e-6) for n in (2, 4, 8)] + [
        case(n=16),
        case(n=64, compute_s=60e-6),
        case(median_s=None),
    ]
    (sentence,) = bound_sentences(records)
    assert sentence == (
        "On cuda, of 5 cases: 3 launch-bound (n from 2 to 8), 1 memory-bound (n = 16), 1 compute-bound (n = 64)."
    )
    assert bound_sentences([case("cpu", kernel_s=None), case()])[0].startswith("On cpu, of 1 cases: 1 overhead-bound (")
    assert bound_sentences([case(compute_s=None)]) == ()


def test_findings_say_what_bounds_and_of_which_calls_the_times_are() -> None:
    blocks_of = findings(
        [case(cache="cold", cold_s=100e-6, warm_s=80e-6), case(n=8, cache="cold", cold_s=90e-6, warm_s=30e-6)]
    )
    (bound,) = [sentence for sentence in blocks_of if isinstance(sentence, str) and sentence.startswith("On cuda")]
    assert "2 memory-bound" in bound
    assert "Times are of calls with a cold cache; a cold call takes 1.2 to 3 times as long as a warm one." in blocks_of


def test_records_of_before_say_nothing_of_caches() -> None:
    assert cache_sentence([case()]) is None
    assert cache_sentence([case(cache="warm")]) == "Times are of calls with a warm cache."
    both = [case(cache="warm"), case(n=8, cache="cold")]
    assert cache_sentence(both) == "Times are of calls with a warm or a cold cache, as the column cache says."


def test_tables_of_an_accelerator_have_the_bound_and_the_light_of_each_case() -> None:
    (sheet,) = records_sheets([case(over_light=12.5), case(n=8, kernel_s=1e-6)])
    headers = [column.header for column in sheet.columns]
    assert [row[headers.index("bound")] for row in sheet.rows] == ["memory", "launch"]
    assert sheet.rows[0][headers.index("light")] == "12.5×"
    (sheet,) = records_sheets([case("cpu", kernel_s=None)])
    assert "bound" not in [column.header for column in sheet.columns]
