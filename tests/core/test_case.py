"""The key of a case: made and parsed back, for whatever a problem, an operator and a strategy are called."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jacstrat.core.case import KEY, Case, F, beside
from jacstrat.records import read_records, read_samples

RESULTS = Path(__file__).parents[2] / "results"
SIN = Case("sin", "divergence", "vmap", 4, 16, "float64", "cuda:0", "evaluate", 2, 0)
SIN_KEY = "sin/divergence/vmap/n=4/batch=16/float64/cuda:0/evaluate/threads=2/seed=0"
# What specs and paths are made of, so that every clash of them is drawn often; and any text at all.
SPECS = st.text("ab:=+,()%2F/.-\n", max_size=12) | st.text(max_size=12)
PLAIN = st.text(st.characters(exclude_characters="/"), max_size=8)
NUMBERS = st.integers(0, 2**63 - 1)
CASES = st.builds(Case, SPECS, SPECS, SPECS, NUMBERS, NUMBERS, PLAIN, PLAIN, PLAIN, NUMBERS, NUMBERS)


def test_the_key_is_what_it_has_always_been() -> None:
    assert SIN.key == SIN_KEY
    assert Case.parse(SIN_KEY) == SIN
    assert (SIN.name, SIN.setting[:2], SIN.setting[-1]) == ("sin/divergence/vmap", ("n=4", "batch=16"), "seed=0")


@given(CASES)
@example(replace(SIN, problem="path/to/file.py:attr", operator="laplacian:coordinates=0+1"))
@example(replace(SIN, problem="a/divergence/f/n=4/batch=1/float64/cpu/evaluate/threads=1/seed=0"))
@example(replace(SIN, operator="divergence:weight=dir/a.py:w", strategy="compiled(taylor:tile=8)"))
@example(replace(SIN, operator="%2F", strategy="/%25"))
def test_a_key_parses_back_to_its_case(case: Case) -> None:
    assert Case.parse(case.key) == case
    assert beside(case.key, F) == replace(case, strategy=F).key


@given(CASES, CASES)
def test_two_cases_have_two_keys(one: Case, other: Case) -> None:
    assert (one.key == other.key) == (one == other)


@given(st.text() | CASES.map(lambda case: case.key.replace("%2F", "/", 1)))
@example("")
@example(SIN_KEY.replace("n=4", "n=04"))
@example(SIN_KEY.replace("n=4", "n=٤"))
@example(SIN_KEY + "/")
@example(f"{SIN_KEY} ")
@example("test_module.py::test_case[sin]")
def test_what_parses_is_the_key_of_what_it_parses_to(text: str) -> None:
    case = Case.parse(text)
    assert case is None or case.key == text


def test_what_is_no_key_has_nothing_beside_it() -> None:
    assert Case.parse("test_case[sin]") is beside("test_case[sin]", F) is None


@pytest.mark.parametrize("directory", ["baseline", "reference"])
def test_the_keys_of_records_that_were_kept_are_those_of_their_columns(directory: str) -> None:
    frame = read_records(RESULTS / directory)
    cases = [Case(*row) for row in frame[list(KEY)].itertuples(index=False)]
    assert list(frame["case"]) == [case.key for case in cases]
    assert [Case.parse(key) for key in frame["case"]] == cases
    assert {key for key in read_samples(RESULTS / directory) if Case.parse(key) is None} == set()
