"""A page a family in docs/problems, whose tables say what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jacstrat.problems import FAMILIES, Problem
from jacstrat.problems.base import USUAL

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "problems"
OPERATOR = {"field": ("divergence", "Jacobian"), "scalar": ("Laplacian", "Hessian")}
every_page = pytest.mark.parametrize("family", FAMILIES)


def table(problem: Problem) -> str:
    """The facts of a problem as its page has them."""
    assert problem.kind is not None
    operator, matrix = OPERATOR[problem.kind]
    if problem.operators != USUAL[problem.kind]:
        operator = ", ".join(f"`{spec}`" for spec in problem.operators)
    rows = {
        "function": problem.formula,
        operator: problem.answer,
        matrix: problem.structure,
        "points": problem.domain,
        "from": problem.origin,
        "n": ", ".join(map(str, problem.sizes)),
    }
    lines = (f"| {name} | {value} |".replace(value, value.replace("|", r"\|")) for name, value in rows.items())
    return "\n".join(("| | |", "|---|---|", *lines))


def sections(family: str) -> dict[str, str]:
    """What stands under the heading of each problem, by name, in the order of the page."""
    text = (DOCS / f"{family}.md").read_text(encoding="utf-8")
    parts = re.split(r"^## `(\w+)`\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@every_page
def test_a_page_is_called_as_its_family_and_says_what_the_family_is(family: str) -> None:
    title, _, rest = (DOCS / f"{family}.md").read_text(encoding="utf-8").partition("\n")
    assert title == f"# Problems: {family}"
    assert len(rest.split("\n## ")[0].split()) > 10


@every_page
def test_a_page_has_the_problems_of_its_family_in_their_order(family: str) -> None:
    assert list(sections(family)) == [problem.name for problem in FAMILIES[family]]


@pytest.mark.parametrize(
    ("family", "problem"),
    [(family, problem) for family, problems in FAMILIES.items() for problem in problems],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_a_section_has_the_facts_of_its_problem_and_says_what_it_is_for(family: str, problem: Problem) -> None:
    section = sections(family)[problem.name]
    assert table(problem) in section
    assert section.count("| | |") == 1
    words = section.replace(table(problem), "").split()
    assert len(words) > 8
    assert words[0] != "|"


def test_there_is_no_page_of_a_family_that_is_not() -> None:
    pages = {page.stem for page in DOCS.glob("*.md") if page.read_text(encoding="utf-8").startswith("# Problems: ")}
    assert pages == set(FAMILIES)


@every_page
def test_the_code_of_a_page_runs(family: str, monkeypatch) -> None:
    monkeypatch.chdir(ROOT)
    text = (DOCS / f"{family}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert blocks
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, f"{family}.md", "exec"), names)
