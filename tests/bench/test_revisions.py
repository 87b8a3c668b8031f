"""The checks of comparisons of revisions: what they count, and that what is slower is slower by what it should be."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.checks import revisions
from bench.checks.revisions import SLOWED, SWITCH, RevisionBench, Try, judge
from jacstrat.compare.verdict import CaseVerdict, Comparison, Finding, Gate, Verdict
from jacstrat.revisions.interleave import RoundLimits, SharedCase
from jacstrat.revisions.survey import Survey


def one(*verdicts: Verdict, slowed: str = "") -> Try:
    """A comparison of cases a, b, ... with these verdicts on their times."""
    cases = [
        CaseVerdict(
            name, (Finding(gate=Gate.TIME, verdict=verdict, reason="why", regression=verdict is Verdict.SLOWER),)
        )
        for name, verdict in zip("abc", verdicts, strict=False)
    ]
    return Try(Comparison("base", "new", tuple(cases)), slowed, 5, 2.0)


SAME, AMBIGUOUS, SLOWER, FASTER = Verdict.SAME, Verdict.AMBIGUOUS, Verdict.SLOWER, Verdict.FASTER


def test_a_false_alarm_is_counted_wherever_it_is() -> None:
    quiet, busy = [one(SAME, AMBIGUOUS)] * 60, [one(SAME, SAME)] * 38 + [one(SAME, FASTER), one(SLOWER, SAME)]
    found = judge(quiet, busy, [one(SLOWER, SAME, slowed="a")], [one(AMBIGUOUS, SAME, slowed="a")], "had half a core")
    assert [(figure.value, figure.met) for figure in found] == [(0.02, False), (1.0, True), (0.0, True), (0.0, True)]
    assert "2 of 100, 2 of them beside a busy core; 138 SAME, 60 AMBIGUOUS, " in found[0].note
    assert "5 pairs of processes and 2.0 s in the median; had half a core; " in found[0].note


def test_the_slowed_case_counts_and_no_other() -> None:
    slower = [one(SLOWER, SAME, slowed="a")] * 94 + [one(SLOWER, AMBIGUOUS, slowed="b")] * 6
    slightly = [one(AMBIGUOUS, FASTER, slowed="a")] * 48 + [one(SAME, SAME, slowed="b"), one(FASTER, SAME, slowed="a")]
    found = judge([one(SAME)], [one(SAME)], slower, slightly)
    assert [figure.value for figure in found] == [0.0, 0.94, 0.02, 0.02]
    assert [figure.met for figure in found] == [True, False, False, True]


@dataclass(frozen=True)
class Tree:
    path: Path


@pytest.fixture
def bench(tmp_path) -> RevisionBench:
    """A bench of eight cases and no processes."""
    cells = {
        f"case{i}": {
            "strategies": ["ones" if i % 2 else "vmap"],
            "operator": "divergence",
            "batch": 1,
            "n": i,
            "dtype": "float64",
            "workload": "train" if i > 5 else "evaluate",
        }
        for i in range(8)
    }

    class Found(Survey):
        @property
        def shared_cases(self) -> list[SharedCase]:
            return [SharedCase(key, cell, cell) for key, cell in cells.items()]

    class NoProcesses:
        class new:  # noqa: N801 (a field of an arena)
            tree = Tree(tmp_path)

    found = Found({"base": cells, "new": cells}, {"base": {}, "new": {}}, {}, [])
    return RevisionBench(NoProcesses(), found, random.Random(0), RoundLimits())  # type: ignore[arg-type]


def test_each_try_slows_another_case_that_evaluates(bench, tmp_path, monkeypatch) -> None:
    chosen = []

    def time_cases(revision_pair, found, *_: object, **__: object) -> object:
        switch = json.loads((tmp_path / SWITCH).read_text())
        chosen.append((switch["case"], switch["share"]))

        class MeasuredCell:
            interleaved = type("Interleaved", (), {"pairs": 3, "spent_s": 1.0})

        return MeasuredCell()

    monkeypatch.setattr(revisions, "time_cases", time_cases)
    monkeypatch.setattr(revisions, "verdicts", lambda *_: Comparison("a", "b", ()))
    names = [bench.compare(0.1).slowed for _ in range(60)]
    assert set(names) == {f"case{i}" for i in range(6)}
    for name, (case, share) in zip(names, chosen, strict=True):
        cell = bench.surveyed.cells["new"][name]
        assert (case, share) == ([*cell["strategies"], "divergence", [1, cell["n"]], "float64", False], 0.1)
    assert bench.compare().slowed == ""
    assert chosen[-1] == ([], 0.0)


def test_what_is_slower_computes_something_else_a_call(tmp_path) -> None:
    """The patch, on a strategy whose calls are counted: only the case that is named is wrapped."""
    import torch

    calls: list[str] = []

    class Strategy:
        spec = "mine"

        def prepare(self, operator: str, f: object, x: torch.Tensor, generator: object = None) -> Callable:
            return lambda x: calls.append(operator)

    file = tmp_path / "jacstrat" / "strategies" / "base.py"
    namespace = {"Strategy": Strategy, "__file__": str(file)}
    original = Strategy.prepare
    exec(SLOWED.replace("{switch}", SWITCH), namespace)
    assert Strategy.prepare is not original
    switch = {"case": ["mine", "divergence", [1, 3], "float64", False], "share": 0.1}
    (tmp_path / SWITCH).write_text(json.dumps(switch))
    x = torch.zeros(1, 3, dtype=torch.float64)
    slower = Strategy().prepare("divergence", None, x)
    assert slower.__name__ == "slower"
    calls.clear()
    slower(x)
    assert calls == ["divergence"]
    for other in (Strategy().prepare("laplacian", None, x), Strategy().prepare("divergence", None, x[:, :2])):
        assert other.__name__ == "<lambda>"
