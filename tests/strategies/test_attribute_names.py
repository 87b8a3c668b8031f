"""Which attributes a function may read: by the code that it reaches, found once for functions of the same code."""

from __future__ import annotations

import functools
from types import SimpleNamespace
from typing import Any

import pytest

from jacstrat.strategies import attribute_names as names_module
from jacstrat.strategies.attribute_names import attribute_names, guessed_names


class Thing:
    def read(self) -> float:
        return self.of_method

    def other(self) -> float:
        return self.of_other


def reader(thing: Any) -> Any:
    return lambda x: x * thing.read() * thing.of_lambda


def test_names_are_those_of_code_that_is_reached() -> None:
    thing = Thing()
    f = reader(thing)
    names = attribute_names(f, {f.__code__}, {Thing})
    assert names is not None
    assert {"read", "of_method", "of_lambda"} <= names
    assert "of_other" not in names


@pytest.mark.parametrize("wrap", [lambda f: f, functools.partial, lambda f: functools.partial(functools.partial(f), 1)])
def test_a_function_of_the_same_code_is_guessed_to_read_the_same(wrap: Any) -> None:
    f = reader(Thing())
    names = attribute_names(wrap(f), {f.__code__}, {Thing})
    assert guessed_names(wrap(reader(SimpleNamespace()))) == names
    assert guessed_names(lambda x: x) == frozenset()
    assert guessed_names(Thing().read) == frozenset()


def test_they_are_found_once_and_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    walks: list[int] = []
    walk = names_module.Walk
    monkeypatch.setattr(names_module, "Walk", lambda: walks.append(1) or walk())
    monkeypatch.setattr(names_module, "MOST", 4)
    for _ in range(3):
        f = reader(Thing())
        attribute_names(f, {f.__code__}, {Thing})
    assert len(walks) <= 1
    for k in range(10):
        code = compile(f"lambda x: x.a{k}", "", "eval")
        attribute_names(f, {code}, {Thing})
    assert len(names_module._known) <= 4


def test_of_more_than_can_be_walked_through_all_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jacstrat.trace.reach.OBJECTS", 2)
    f = reader(Thing())
    assert attribute_names(f, {f.__code__, compile("1", "", "eval")}, {Thing}) is None
