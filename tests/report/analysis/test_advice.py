"""Advice from records alone: the order, the pick, the sentence, and any width."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from jacstrat.record import Record
from jacstrat.report.analysis.advice import FunctionFacts, Kind, advice_table, ranked, recommendation, recommended
from tests.rows import BARE

KINDS = {
    "auto": Kind("always"),
    "ones": Kind("J diagonal"),
    "coloring": Kind("always: it refuses"),
    "vmap": Kind("always"),
    "jvp": Kind("always"),
    "hutchinson": Kind("on average", stochastic=True),
}
PROVED = FunctionFacts("traced: diagonal, 1 colour of n = 4", True, True, "ones", "ones: traced diagonal")
DENSE = FunctionFacts("traced: dense, 4 colours of n = 4", True, False, "vmap", "vmap: 1 ms against 2 ms of jvp")


def record(strategy: str, median_s: float | None = None, status: str = "ok", **values) -> Record:
    row = replace(BARE, case=strategy, problem="mine", strategy=strategy, batch=2, status=status)
    return replace(row, median_s=median_s, **values)


RECORDS = [
    record("jvp", status="timeout", reason="no end after 30 s"),
    record("ones", 1e-5, "wrong", rel_error=0.3, vjp_products=1),
    record("hutchinson", 2e-5, rel_error=0.1, std_error=0.2, vjp_products=16),
    record("vmap", 1e-3, rel_error=1e-16, vjp_products=4, peak_bytes=2048),
    record("auto", 1.01e-3, exact=True, vjp_products=4),
    record("coloring", 2e-3, exact=True, vjp_products=2),
]


def printed(records, evidence, width: int = 200) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(advice_table(records, KINDS, evidence))
    return console.file.getvalue()


def test_those_that_fail_for_one_reason_are_one_row() -> None:
    failed = [record(name, status="error", reason="f itself: no") for name in ("auto", "ones", "vmap", "jvp")]
    assert "4 strategies  error: f itself: no" in printed(failed, None)
    assert "auto, ones  error: f itself: no" in printed(failed[:2], None)
    lines = printed([*failed, record("coloring", 1e-3)], None).splitlines()
    assert [line.split()[0] for line in lines[3:] if line] == ["coloring", "4"]


def test_exact_before_stochastic_before_wrong_before_nothing() -> None:
    assert [one.strategy for one in ranked(RECORDS, KINDS)] == [
        "vmap",
        "auto",
        "coloring",
        "hutchinson",
        "ones",
        "jvp",
    ]


def test_ones_is_recommended_on_a_proof_alone() -> None:
    right = [record("ones", 1e-5), record("vmap", 1e-3)]
    assert recommended(right, KINDS, PROVED).strategy == "ones"
    sampled = FunctionFacts("sampled: diagonal", False, True)
    for evidence in (None, DENSE, sampled):
        assert recommended(right, KINDS, evidence).strategy == "vmap"


@pytest.mark.parametrize(
    ("records", "evidence", "sentence"),
    [
        (RECORDS, DENSE, "Use vmap, as auto does by itself: 1.00 ms a call, of which coloring, the next, takes 2.00×"),
        (
            [record("ones", 1e-5), record("vmap", 1e-3)],
            PROVED,
            "Use ones, as auto does by itself: 10.0 µs a call, of which vmap, the next, takes 100×, and right for "
            "every x, since the structure is proved (traced: diagonal, 1 colour of n = 4).",
        ),
        ([record("vmap", 1e-3)], None, "Use vmap: 1.00 ms a call, and right for every function."),
        ([record("jvp", 1e-3)], DENSE, "Use jvp (auto chose vmap): 1.00 ms a call, and right for every function."),
        (RECORDS[:3], DENSE, "No strategy gave a right result; the table says why."),
    ],
)
def test_the_sentence(records, evidence, sentence: str) -> None:
    assert recommendation(records, KINDS, evidence).startswith(sentence)


def test_the_table_says_what_there_is() -> None:
    text = printed(RECORDS, DENSE)
    assert text.startswith("Divergence of mine, n = 4, B = 2, float64, cpu, evaluate")
    lines = {line.split()[0]: line for line in text.splitlines()[1:]}
    assert "1.00 ms" in lines["vmap"]
    assert "2.00 KiB" in lines["vmap"]
    assert "4 VJP" in lines["vmap"]
    assert lines["auto"].startswith("auto (vmap)")
    assert "WRONG 0.3" in lines["ones"]
    assert "0.2" in lines["hutchinson"]
    assert "timeout: no end after 30 s" in lines["jvp"]


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_it_fits_any_width(width: int) -> None:
    lines = printed(RECORDS, DENSE, width).splitlines()
    assert all(len(line) <= width for line in lines[1:] if not line.startswith("not shown"))
    assert any("WRONG" in line for line in lines)
