"""Whose a module is, and the fields of an object."""

from __future__ import annotations

import threading
import types

import pytest
import torch

from jacstrat.trace.objects import fields_of, is_plain, is_setting, origin


@pytest.mark.parametrize(
    ("module", "whose"),
    [
        ("torch.nn.functional", "core"),
        ("numpy.linalg", "core"),
        ("jacstrat.operators", "core"),
        ("collections", "core"),
        ("sys", "core"),
        ("psutil", "installed"),
        (__name__, "own"),
        ("not_imported", "own"),
    ],
)
def test_a_module_is_the_users_a_librarys_or_none_that_is_looked_at(module: str, whose: str) -> None:
    assert origin(module) == whose


class Denies:
    """Says that it has no fields."""

    def __init__(self) -> None:
        self.here = 1

    def __getattribute__(self, name: str) -> object:
        raise RuntimeError("no business of yours")


class Slots:
    __slots__ = ("here",)


def test_fields_are_found_past_the_code_of_the_object() -> None:
    local = threading.local()
    local.here = 2
    assert fields_of(Denies(), Denies) == {"here": 1}
    assert fields_of(local, threading.local) == {"here": 2}
    assert fields_of(types.SimpleNamespace(here=3), types.SimpleNamespace) == {"here": 3}
    assert fields_of(Slots(), Slots) is None


def test_what_is_plain_is_a_setting_and_so_are_tensors_and_functions() -> None:
    assert is_plain((1, "a", (2.5, None)))
    assert not is_plain((1, []))
    assert all(map(is_setting, (1, (1, 2), torch.ones(2), torch.tanh)))
    assert not is_setting({})
