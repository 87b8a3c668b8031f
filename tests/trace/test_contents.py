"""What stands in containers: the same objects and numbers, and nothing of the user's run to see it."""

from __future__ import annotations

import array
from collections import OrderedDict, deque
from typing import Any

import numpy as np
import pytest
import torch

from jacstrat.trace.contents import BYTES, Bytes, Items, Keys


class Loud(dict[str, float]):
    """A mapping that is not to be asked for its values."""

    def values(self) -> Any:
        raise AssertionError


@pytest.mark.parametrize("container", [deque([1.5, "a"]), {"a": 1.5, "b": "a"}, Loud(a=1.5, b="a")])
def test_items_are_the_same_objects_or_numbers(container: Any) -> None:
    items, key = Items.of(container), 0 if isinstance(container, deque) else "a"
    assert items.items == (1.5, "a")
    container[key] = float("1.5")
    assert items.holds(container)
    container[key] = torch.tensor(1.5)
    assert not items.holds(container)
    container.clear()
    assert not items.holds(container)


def test_tensors_are_compared_by_identity() -> None:
    container = deque([torch.ones(2)])
    items = Items.of(container)
    assert items.holds(container)
    container[0] = torch.ones(2)
    assert not items.holds(container)


@pytest.mark.parametrize("buffer", [array.array("d", [1.0]), bytearray(8), np.ones((2, 3)).T])
def test_numbers_are_compared_by_their_bytes(buffer: Any) -> None:
    contents = Bytes.of(buffer)
    assert contents is not None
    assert contents.holds(buffer)
    buffer[0] = 2
    assert not contents.holds(buffer)


@pytest.mark.parametrize("buffer", [bytearray(BYTES + 1), np.array([None, 1.0], dtype=object)])
def test_large_arrays_and_those_of_objects_are_not(buffer: Any) -> None:
    assert Bytes.of(buffer) is None


@pytest.mark.parametrize("kind", [dict, OrderedDict, Loud])
def test_keys_have_an_order(kind: type) -> None:
    container = kind(a=1.0, b=2.0)
    keys = Keys.of(container)
    container["a"] = 3.0
    assert keys.holds(container)
    container["a"] = container.pop("a")
    assert not keys.holds(container)
    assert Keys.of(container).keys == ("b", "a")
