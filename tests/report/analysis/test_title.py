from collections.abc import Callable
from typing import Any

import pytest

from jacstrat.core.environment import Session
from jacstrat.record import Record
from jacstrat.report.analysis.title import what, when, where

Make = Callable[..., Record]


def session(utc: str = "2026-01-02T03:04:05+00:00", **start: Any) -> Session:
    plain = {"hardware": {"cpu_model": "AMD EPYC"}, "start": {"utc": utc}, **start}
    return Session({"start": plain})


def of(record: Make, *quantities: tuple[str, str]) -> str:
    return what([record(operator=operator, problem=problem) for operator, problem in quantities])


def test_what_was_run_is_named_as_long_as_it_is_little(record: Make) -> None:
    assert of(record, ("laplacian", "cos")) == "Laplacian of cos"
    assert of(record, ("laplacian", "cos"), ("divergence", "sin")) == "Laplacian of cos and divergence of sin"
    three = [("laplacian", "a"), ("divergence", "b"), ("laplacian", "c")]
    assert of(record, *three) == "Laplacian and divergence of 3 problems"
    one = [(operator, "f") for operator in ("divergence", "jacobian_diagonal", "laplacian")]
    assert of(record, *one) == "Divergence, Jacobian diagonal and Laplacian of f"
    assert of(record, *one, ("bilaplacian", "g")) == "4 operators of 2 problems"
    assert what([]) == "No case"


def test_where_names_the_threads_that_the_cases_had_not_those_of_the_session(record: Make) -> None:
    started = [session(torch={"threads": 8})]
    assert where([record(threads=1)], started) == "1 CPU thread of AMD EPYC"
    assert where([record(threads=4), record(threads=2)], started) == "2 and 4 CPU threads of AMD EPYC"
    assert where([record(threads=2)], []) == "2 CPU threads"


def test_where_names_a_card_and_counts_machines(record: Make) -> None:
    card = [session(cards=[{"name": "NVIDIA H100"}])]
    assert where([record(device="cuda")], card) == "NVIDIA H100"
    assert where([record(device="cuda")], []) == "CUDA"
    both = [record(device="cuda", machine="a"), record(machine="b")]
    assert where(both, card) == "NVIDIA H100 and 1 CPU thread of AMD EPYC, 2 machines"


@pytest.mark.parametrize(("utc", "day"), [("2026-11-26T00:58:01+00:00", "26 November 2026"), ("soon", ""), ("", "")])
def test_when_is_a_day(utc: str, day: str) -> None:
    assert when([session(utc)]) == day
    assert when([]) == ""
