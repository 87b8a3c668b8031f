"""What a function looks up past its globals: told by its code, and only what is the user's and there."""

from __future__ import annotations

import functools
import math
import os
import sys
import types

import pytest
import torch

from jacstrat.trace.lookups import is_variable, lookups_of

SCALE, NAME = 2.0, __name__


def nothing(x):
    return x * SCALE


def test_most_functions_look_up_nothing() -> None:
    assert lookups_of(nothing) == ((), (), (), ())


def test_modules_are_the_users_and_there() -> None:
    def f(x):
        import math

        import no_such_module
        import torch

        from tests.trace.guarded import X

        from . import changes

        return math, no_such_module, torch, X, changes

    import tests.trace.guarded

    names = {module.__name__ for module in lookups_of(f).modules}
    assert {"tests", "tests.trace", "tests.trace.guarded"} <= names
    assert names.isdisjoint({"math", "torch", "no_such_module"})
    assert tests.trace.guarded in lookups_of(f).modules


def test_the_module_of_the_function_is_found_among_all() -> None:
    assert sys.modules[__name__] in lookups_of(lambda x: sys.modules[__name__].SCALE).modules
    assert lookups_of(lambda x: sys.path).modules == ()


def test_a_relative_import_in_no_package_is_left_to_python() -> None:
    def f(x):
        from . import changes

        return changes

    alone = types.FunctionType(f.__code__, {"__name__": "alone"})
    assert lookups_of(alone).modules == ()


def test_names_that_are_computed_are_all() -> None:
    assert lookups_of(lambda x: globals()["SCALE"]).globals == ("SCALE",)
    assert {"SCALE", "NAME", "nothing"} <= set(lookups_of(lambda x: globals()[NAME]).globals)


def test_variables_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert lookups_of(lambda x: os.environ["JACOBI"]).environment == ("JACOBI",)
    assert "JACOBI" in lookups_of(lambda x: os.getenv("JACOBI", "plain")).environment
    assert lookups_of(lambda x: x["JACOBI"]).environment == ()
    monkeypatch.delenv("JACOBI", raising=False)
    absent = functools.partial(is_variable, None)
    assert absent("JACOBI")
    monkeypatch.setenv("JACOBI", "a")
    assert not absent("JACOBI")
    assert is_variable("a", "JACOBI")


def test_libraries_are_asked_for_what_code_names_of_them() -> None:
    functional = torch.nn.functional

    def within(x):
        import torch.nn.functional as inner

        return inner.silu(x)

    for f in (lambda x: torch.nn.functional.silu(x), lambda x: functional.silu(x), within):
        assert (torch.nn.functional, "silu") in lookups_of(f).libraries
    assert (torch, "nn") in lookups_of(lambda x: torch.nn.functional.silu(x)).libraries
    assert lookups_of(lambda x: math.sin(sys.maxsize)).libraries == ()
    assert lookups_of(lambda x: torch.no_such_name).libraries == ()


def test_a_variable_that_is_empty_as_yet_is_no_library() -> None:
    def f(x):
        return functional.silu(x)

    assert lookups_of(f).libraries == ()
    functional = torch.nn.functional
    assert (functional, "silu") in lookups_of(f).libraries
