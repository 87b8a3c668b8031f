"""Two results of `benchmark` against each other."""

from __future__ import annotations

import pytest
import torch

from jacstrat import benchmark
from jacstrat.compare.verdict import NothingToCompareError, Verdict
from jacstrat.harness.benchmark import Benchmark

BRIEF_S = 1e-4


def plain(x: torch.Tensor) -> torch.Tensor:
    return x.sin()


def longer(x: torch.Tensor) -> torch.Tensor:
    return (x.sin() + 0 * x.cos().exp()) * 1


def broken(x: torch.Tensor) -> torch.Tensor:
    return x.sin() * x.sum(-1, keepdim=True)


def measured(f, strategies=("identity", "ones"), n: int = 3) -> Benchmark:
    return benchmark(f, torch.ones(2, n), strategies=strategies, sample_s=BRIEF_S)


@pytest.fixture
def base() -> Benchmark:
    return measured(plain)


def test_a_function_is_held_against_another_by_strategy(base: Benchmark) -> None:
    found = measured(longer, ("identity", "vmap")).compare(base)
    verdicts = {case.case.split("/")[2]: case.verdict for case in found.comparison.cases}
    assert verdicts == {"identity": Verdict.WORSE, "ones": Verdict.GONE, "vmap": Verdict.NEW}
    text = str(found)
    assert text.startswith("longer against plain\n")
    assert "aten_ops" in text
    html = found._repr_html_()
    assert html.startswith("<p>")
    assert "<caption" in html
    assert "longer against plain" in html


def test_what_became_wrong_is_said_first(base: Benchmark) -> None:
    found = measured(broken).compare(base)
    assert str(found).splitlines()[3].split()[:1] in (["WRONG"], ["!"])
    assert found.comparison.exit_code == 4


def test_the_same_function_has_labels_that_differ(base: Benchmark) -> None:
    found = measured(plain).compare(base)
    assert (found.comparison.base, found.comparison.new) == ("the other", "this")
    assert {case.verdict for case in found.comparison.cases} <= {Verdict.SAME, Verdict.AMBIGUOUS}


def test_another_size_is_not_to_be_compared(base: Benchmark) -> None:
    with pytest.raises(NothingToCompareError, match="plain and longer have no case in common: n is 3 against 4"):
        measured(longer, n=4).compare(base)
