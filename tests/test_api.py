"""The API reference has every public name once, on the page of what it belongs to, and each has a docstring."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from itertools import pairwise
from types import ModuleType

import pytest

import jacstrat
from tests.pages import ROOT

PAGES = {page.stem: page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs" / "api").glob("*.md"))}
SHOWN = [(page, name) for page, text in PAGES.items() for name in re.findall(r"^::: (\S+)$", text, re.MULTILINE)]
# The page of what a room of the package makes public.
HOMES = {
    "core.errors": "errors",
    "core.operator": "operators",
    "operators": "operators",
    "strategies": "strategies",
    "problems": "problems",
    "structure": "structure",
    "harness.benchmark": "measuring",
    "records": "measuring",
}


def test_every_public_name_is_on_the_page_of_its_group_once() -> None:
    public = {f"jacstrat.{name}": HOMES[home] for name, home in jacstrat._HOMES.items()}
    shown = [(page, name) for page, name in SHOWN if name.count(".") == 1]
    assert sorted(shown) == sorted((page, name) for name, page in public.items())
    assert set(jacstrat.__all__) == {*jacstrat._HOMES, "__version__"}
    assert "`jacstrat.__version__`" in PAGES["index"]


def test_the_index_links_every_page() -> None:
    assert set(re.findall(r"\]\((\w+)\.md\)", PAGES["index"])) == set(PAGES) - {"index"}


@pytest.mark.parametrize("name", [name for _, name in SHOWN])
def test_what_the_reference_shows_is_there_and_says_what_it_is(name: str) -> None:
    room, _, attribute = name.rpartition(".")
    found = getattr(importlib.import_module(room), attribute)
    if callable(found):
        assert found.__doc__
    else:
        assert words_below(attribute, importlib.import_module(f"jacstrat.{jacstrat._HOMES[attribute]}"))


def words_below(name: str, module: ModuleType) -> str:
    """The text that stands below a table in its module, where no object has it; "" where there is none."""
    body = ast.parse(inspect.getsource(module)).body
    for statement, after in pairwise(body):
        if isinstance(statement, ast.AnnAssign) and ast.unparse(statement.target) == name:
            return ast.literal_eval(after.value) if isinstance(after, ast.Expr) else ""
    return ""
