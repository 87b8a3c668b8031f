"""Which tests a command runs: those marked `long` where they are asked for, and else all but those."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests.conftest import pytest_collection_modifyitems, pytest_report_header

PATHS = ["tests", "peers"]
LEFT_OUT = "long tests: left out; LONG=1 in the environment runs them"


class Item:
    """A test, as far as its name and its marks say."""

    def __init__(self, nodeid: str, *marks: pytest.MarkDecorator) -> None:
        self.nodeid = nodeid
        self._marks = {one.name: one.mark for one in marks}

    def get_closest_marker(self, name: str) -> pytest.Mark | None:
        return self._marks.get(name)

    def add_marker(self, mark: object) -> None:
        pass


def sorted_out(*items: Item, args: list[str] = PATHS, markexpr: str = "", keyword: str = "") -> tuple[list, list, str]:
    """The names of the tests that are run, of those that are left out, and what is said of it."""
    out: list[Item] = []
    config = SimpleNamespace(
        args=args,
        option=SimpleNamespace(markexpr=markexpr, keyword=keyword),
        getini=lambda name: {"testpaths": PATHS}[name],
        hook=SimpleNamespace(pytest_deselected=lambda items: out.extend(items)),
    )
    run = [*items]
    pytest_collection_modifyitems(config, run)
    return [item.nodeid for item in run], [item.nodeid for item in out], pytest_report_header(config)


@pytest.fixture
def pair() -> list[Item]:
    return [Item("short"), Item("long", pytest.mark.long)]


@pytest.fixture(autouse=True)
def _neither_ci_nor_all(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CI", "LONG"):
        monkeypatch.delenv(name, raising=False)


def test_long_ones_are_left_out_where_nobody_asks(pair: list[Item]) -> None:
    assert sorted_out(*pair) == (["short"], ["long"], LEFT_OUT)


def test_of_a_table_some_rows_are_run() -> None:
    a_third = pytest.mark.long(but_one_in=3)
    rows = [Item(f"{function}[{row}]", a_third) for row in range(4) for function in ("f", "g")]
    run, out, _ = sorted_out(*rows, Item("alone", a_third))
    assert run == ["f[0]", "g[0]", "f[3]", "g[3]", "alone"]
    assert len(out) == 4


@pytest.mark.parametrize("chosen", [{"args": ["tests/cases"]}, {"markexpr": "long"}, {"keyword": "sin"}])
def test_a_command_that_chooses_has_what_it_chooses(pair: list[Item], chosen: dict) -> None:
    assert sorted_out(*pair, **chosen) == (["short", "long"], [], "long tests: all")


@pytest.mark.parametrize("name", ["CI", "LONG"])
def test_all_are_asked_for_by_the_environment(name: str, pair: list[Item], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "1")
    assert sorted_out(*pair)[:2] == (["short", "long"], [])
