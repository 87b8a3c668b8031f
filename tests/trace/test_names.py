"""Names that code looks up: those of functions within as well, and none where it may find things another way."""

from __future__ import annotations

import builtins

import pytest
import torch

from jacstrat.trace.names import is_plain_builtin, names_of, names_read

ALPHA = 2.0


def plain(x):
    def inner(y):
        return torch.sin(y) * ALPHA

    return inner(x.cos())


def importing(x):
    import math

    return x * math.pi


def declaring(x):
    global ALPHA
    ALPHA = 3.0
    return x


@pytest.mark.parametrize(
    "f",
    [importing, declaring, lambda x: f"{x}", lambda x: x.tolist(), lambda x: [x.numpy() for _ in x], lambda x: x.grad],
)
def test_code_that_finds_things_another_way_has_none(f) -> None:
    assert names_of(f.__code__) is None


def test_names_are_those_of_functions_within_as_well() -> None:
    names = names_of(plain.__code__)
    assert names is not None
    assert set(names.globals) == {"torch", "ALPHA"}
    assert set(names.attributes) == {"cos", "sin"}


def test_an_attribute_is_read_of_the_global_before_it() -> None:
    reads = names_read(plain.__code__)
    assert ("torch", "sin") in reads.attributes
    assert (None, "cos") in reads.attributes
    assert set(reads.globals) == {"torch", "ALPHA"}


def test_what_is_not_understood_is_read_all_the_same_and_texts_may_be_attributes() -> None:
    reads = names_read((lambda x: getattr(x, "scale") + x.tolist()[0]).__code__)  # noqa: B009
    assert {(None, "scale"), (None, "tolist")} <= reads.attributes


def test_a_builtin_is_plain_until_another_is_in_its_place(monkeypatch) -> None:
    assert is_plain_builtin("len", plain)
    assert is_plain_builtin("ValueError", plain)
    assert not is_plain_builtin("getattr", plain), "it finds by a name that is computed"
    assert not is_plain_builtin("no_such_name", plain)
    with monkeypatch.context() as patch:
        patch.setattr(builtins, "len", lambda x: 3)
        is_plain = is_plain_builtin("len", plain)
    assert not is_plain


def test_what_is_asked_for_need_not_be_there() -> None:
    def f(x, name):
        y = getattr(torch, name)(x) if hasattr(x, "gate") else getattr(x.data, "scale", None)
        return [getattr(x, f"scale{k}") for k in range(2)], getattr(x, "a" + name), y

    asked = names_read(f.__code__).asked
    assert asked == {("torch", None), (None, "gate"), (None, "scale"), (None, None)}
    for computed in (
        lambda x: getattr(x, x.mode, "relu"),
        lambda x: getattr(x, f"w{x.mode}", "relu"),
        lambda x: getattr(x.pick("a"), "w" + x.mode, "relu"),
        lambda x: vars(x).get("scale"),
        lambda x: x.__dict__.get("scale", 1.0),
    ):
        assert names_read(computed.__code__).asked == {(None, None)}
    assert names_read(plain.__code__).asked == set()


def test_what_is_taken_from_globals_and_imported() -> None:
    def f(x):
        import os.path

        from . import changes
        from .guarded import X

        return x * globals()["ALPHA"], [globals().get("BETA", 1.0) for _ in x], os.path.sep, changes, X

    reads = names_read(f.__code__)
    assert reads.scope == {"ALPHA", "BETA"}
    assert reads.imports == {"os.path", ".", ".guarded"}
    assert {(None, "X"), (None, "changes")} <= reads.attributes
    for computed in (
        lambda x: globals()[x.mode],
        lambda x: "ALPHA" in globals(),
        lambda x: (lambda names: names["ALPHA"])(globals()),
        lambda x: globals().get(x.mode),
        lambda x: globals().values(),
    ):
        assert names_read(computed.__code__).scope == {None}
    assert names_read(plain.__code__).scope == names_read(plain.__code__).imports == set()
