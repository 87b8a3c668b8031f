"""What people read: the table, Markdown, and the sentence that it comes to."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from jacstrat.compare.comparison import compare
from jacstrat.compare.tables import MOST_ROWS, print_comparison, to_markdown
from jacstrat.compare.verdict import CaseVerdict, Comparison, Finding, Gate, Verdict
from jacstrat.compare.wording import cases_shown, conclusion, lines_of, tally

from .conftest import changed, records_of, side_of, timed_side


def printed(comparison: Comparison, width: int = 120, everything: bool = False) -> str:
    file = io.StringIO()
    print_comparison(comparison, Console(file=file, width=width), everything)
    return file.getvalue()


def one(verdict: Verdict, regression: bool = False, case: str = "case", gate: Gate = Gate.COUNTS) -> CaseVerdict:
    return CaseVerdict(case, (Finding(gate=gate, verdict=verdict, reason=f"why {verdict}", regression=regression),))


@pytest.fixture(scope="module")
def worse() -> Comparison:
    base = records_of()
    return compare(side_of(base, "OLD"), side_of(changed(base, vjp_products=5, peak_bytes=1900)))


def test_the_table_names_case_and_reason(worse: Comparison) -> None:
    text = printed(worse)
    assert "NEW against OLD" in text
    assert "! WORSE" in text
    assert "divergence of sin" in text
    assert "n=4 " in text
    assert "vjp_products 4 -> 5 (+25.0%); peak_bytes 1840 -> 1900 (+3.3%)" in text
    assert text.splitlines()[-2:] == ["10 cases: 1 WORSE, 9 SAME", "1 case of 10 is a regression."]


@pytest.mark.parametrize("width", [40, 60, 200])
def test_the_table_fits_any_terminal(worse: Comparison, width: int) -> None:
    table = printed(worse, width).split("! makes")[0].splitlines()
    assert len(table) > 3
    assert max(map(len, table)) <= width


def test_everything_has_a_line_where_it_is_asked_for(worse: Comparison) -> None:
    assert printed(worse).count("divergence of sin") == 1
    assert len(cases_shown(worse, everything=True)) == 10
    assert cases_shown(worse, everything=True)[0] == worse.regressions[0]


def test_times_that_cannot_be_told_have_no_line() -> None:
    comparison = compare(timed_side(1, count=7), timed_side(2, count=7))
    assert cases_shown(comparison) == []
    assert conclusion(comparison) == (
        "No regression of counts or accuracy in the 10 cases that both have; "
        "of 10 times none is known to be slower, 10 cannot be told."
    )


def test_a_time_that_seems_slower_is_said() -> None:
    comparison = compare(timed_side(1), timed_side(2, {3: 2.0}))
    assert "of 10 times 1 seem slower" in conclusion(comparison)
    assert [line.verdict for line in lines_of(comparison, cases_shown(comparison))] == [Verdict.SLOWER]


def test_cases_of_one_side_share_a_line() -> None:
    cases = (*(one(Verdict.GONE, case=f"case {i}") for i in range(5)), CaseVerdict("both"))
    text = printed(Comparison("OLD", "NEW", cases))
    assert "GONE: 5 cases in OLD alone: case 0, case 1, case 2, and 2 more\n" in text
    assert "in the 1 case that both have; no time was compared." in text


@pytest.mark.parametrize(
    ("cases", "sentence"),
    [
        ([one(Verdict.WRONG)], "1 result became wrong."),
        ([one(Verdict.WRONG)] * 2 + [one(Verdict.WORSE, True)], "2 results became wrong, 1 case more is a regression."),
        ([one(Verdict.WORSE, True)] * 3, "3 cases of 3 regressed."),
        (
            [one(Verdict.WORSE), one(Verdict.SAME)],
            "No regression of counts or accuracy in the 2 cases that both have; no time was compared.",
        ),
    ],
)
def test_conclusions(cases: list[CaseVerdict], sentence: str) -> None:
    assert conclusion(Comparison("a", "b", tuple(cases))) == sentence


def test_what_all_cases_share_is_not_repeated() -> None:
    keys = [f"my/file.py:f/laplacian/vmap/n=4/batch={b}/float64/cpu/train/threads=1/seed=0" for b in (1, 2)]
    comparison = Comparison("a", "b", tuple(one(Verdict.WORSE, case=key) for key in [*keys, "odd"]))
    lines = lines_of(comparison, comparison.cases)
    assert [(line.quantity, line.strategy, line.setting) for line in lines] == [
        ("Laplacian of my/file.py:f", "vmap", "n=4, batch=1"),
        ("Laplacian of my/file.py:f", "vmap", "n=4, batch=2"),
        ("odd", "", ""),
    ]


def test_a_long_table_ends_and_says_so() -> None:
    cases = tuple(one(Verdict.WORSE, True, f"case {i}") for i in range(MOST_ROWS + 7))
    comparison = Comparison("a", "b", cases)
    assert "and 7 more; --format json has all" in printed(comparison)
    assert "and 7 more" in to_markdown(comparison)
    assert tally(comparison) == f"{MOST_ROWS + 7} cases: {MOST_ROWS + 7} WORSE"


def test_markdown(worse: Comparison) -> None:
    lines = to_markdown(worse).splitlines()
    assert lines[0] == "### 1 case of 10 is a regression."
    assert "| verdict | problem | strategy | at | why |" in lines
    row = next(line for line in lines if line.startswith("| **WORSE**"))
    assert row.startswith("| **WORSE** | divergence of sin | `jvp` | n=4 | vjp\\_products 4 -\\> 5 (+25.0%); ")
    assert row.count(" | ") == 4


def test_markdown_of_names_that_mean_something_to_it() -> None:
    key = "a|b<script>/divergence/x`y|z/n=4/batch=1/float64/cpu/evaluate/threads=1/seed=0"
    text = to_markdown(Comparison("[a](b)", "b\n# c", (one(Verdict.WORSE, case=key),), ("*note*",)))
    assert "| WORSE | divergence of a\\|b\\<script\\> | `x'y\\|z` | n=4 | why WORSE |" in text
    assert "`b # c` against `[a](b)`" in text
    assert "- \\*note\\*" in text


def test_no_markup_of_a_name_reaches_the_terminal() -> None:
    text = printed(Comparison("[red]a", "b", (one(Verdict.WORSE, case="[bold]x[/bold]"),), ("[blue]note",)))
    assert "[bold]x[/bold]" in text
    assert "b against [red]a" in text
    assert "note: [blue]note" in text
