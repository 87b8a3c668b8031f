"""What is read of containers: all of small ones, of large ones the length and the items at once."""

from __future__ import annotations

import types
from collections import OrderedDict, deque
from typing import Any

import pytest

from jacstrat.trace.containers import ITEMS, LONG, Inside, Read, reads_of, reads_of_entries

HERE = ("it",)


def found(value: Any) -> list[Read | Inside]:
    """What is read of a value, each of which holds as it stands."""
    read = list(reads_of(value, type(value), HERE))
    assert all(one.read(one.argument) == one.value for one in read if isinstance(one, Read))
    return read


def templates(value: Any) -> list[str]:
    return [one.access[0] for one in found(value)]


class Loud(dict):
    """Whose own methods are not to run."""

    def __len__(self) -> int:
        raise AssertionError

    __iter__ = items = values = __getitem__ = __len__  # type: ignore[assignment]


@pytest.mark.parametrize("kind", [dict, OrderedDict, Loud])
def test_of_a_dict_the_length_the_items_and_the_order(kind: type) -> None:
    assert templates(kind(a=1, b=2)) == ["the length of {}", "item {!r} of {}", "item {!r} of {}", "the order of {}"]
    assert templates(kind()) == ["the length of {}"]
    assert templates(kind(a=1)) == ["the length of {}", "item {!r} of {}"]


def test_keys_of_the_users_are_not_looked_up() -> None:
    assert templates({object(): 1}) == ["the length of {}", "the items of {}", "item {!r} of {}"]


def test_of_a_tuple_that_cannot_change_what_is_inside() -> None:
    assert found((1, "a")) == [Inside(1, ("item {!r} of {}", 0, HERE)), Inside("a", ("item {!r} of {}", 1, HERE))]


@pytest.mark.parametrize("value", [deque([1, 2]), types.MappingProxyType({"a": 1, "b": 2})])
def test_of_a_row_the_items_at_once(value: Any) -> None:
    assert templates(value) == ["the items of {}", "item {!r} of {}", "item {!r} of {}"]


def test_of_a_set_all_at_once_where_its_items_cannot_change() -> None:
    assert [type(one.value) for one in found({1, 2})] == [int, bool]
    assert templates({object()}) == ["the length of {}"]


def test_of_a_long_one_the_items_at_once_and_of_a_longer_one_the_length() -> None:
    assert templates([0] * (ITEMS + 1)) == ["the length of {}", "the items of {}"]
    assert templates([0] * (LONG + 1)) == ["the length of {}"]


def test_nothing_of_what_is_no_container() -> None:
    assert found("abc") == found(3.0) == found(object()) == []


def test_entries_of_a_module_are_its_attributes() -> None:
    read = list(reads_of_entries({"a": 1, "b": 2}, HERE, "Net", ordered=True))
    assert [one.access for one in read[1:3]] == [("`{}` of {}", "a", "Net"), ("`{}` of {}", "b", "Net")]
    assert read[3].access == ("the order of {}", HERE)
    assert len(list(reads_of_entries({"a": 1, "b": 2}, HERE, "Net", ordered=False))) == 3
