"""Functions of one code and other numbers are one function: what it gives is that of each, and costs no more."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import jacstrat.trace.cache
from jacstrat import divergence, laplacian, parse_strategy
from jacstrat.strategies.entries import INTEGERS
from jacstrat.strategies.prepared import Prepared
from tests.share import shared
from tests.strategies.makers import MAKERS, NET, D, X, scalar, with_branch, with_object, with_size

pytestmark = pytest.mark.long(but_one_in=3)


@pytest.fixture
def recordings(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """One for each recording of a function."""
    made: list[object] = []
    record = jacstrat.trace.cache.record
    monkeypatch.setattr(jacstrat.trace.cache, "record", lambda *args: made.append(1) or record(*args))
    return made


def a_third(*specs: str) -> pytest.MarkDecorator:
    """Pairs of one of these and a function."""
    pairs = [
        (spec, make)
        for row, spec in enumerate(specs)
        for column, make in enumerate(MAKERS)
        if shared(row, column, share=3)
    ]
    return pytest.mark.parametrize(("spec", "make"), pairs)


@a_third("auto", "identity", "vmap", "chain", "ones")
def test_the_divergence_is_that_of_each_function(make: Any, spec: str) -> None:
    for k in range(7):
        if spec == "ones":
            found, expected = divergence(make(k), X, spec), parse_strategy(spec).prepare("divergence", make(k), X)(X)
        else:
            found, expected = divergence(make(k), X, spec), divergence(make(k), X, "jvp")
        torch.testing.assert_close(found, expected)


@a_third("auto", "taylor", "jvp")
def test_the_laplacian_is_that_of_each_function(make: Any, spec: str) -> None:
    for k in range(7):
        torch.testing.assert_close(
            laplacian(scalar(make, k), X, spec), parse_strategy("identity").prepare("laplacian", scalar(make, k), X)(X)
        )


@pytest.mark.parametrize("make", [m for m in MAKERS if m not in (with_size, with_branch)])
def test_what_changes_costs_no_recording(make: Any, recordings: list[object]) -> None:
    for k in range(2):
        laplacian(scalar(make, k), X, "taylor")
    before = len(recordings)
    for k in range(2, 9):
        laplacian(scalar(make, k), X, "taylor")
    assert len(recordings) == before


def test_a_loop_over_a_variable_of_its_scope() -> None:
    for t in (0.1, 0.2, 0.3, 0.4):
        torch.testing.assert_close(
            laplacian(lambda x: t * NET(x).prod(-1), X, "taylor"),  # noqa: B023 - it is called at once
            t * laplacian(lambda x: NET(x).prod(-1), X, "identity"),
        )


def test_a_thousand_calls_prepare_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    start = Prepared.__init__
    monkeypatch.setattr(Prepared, "__init__", lambda *args: made.append(1) or start(*args))
    for k in range(200):
        divergence(with_object(k), X[:1], "identity")
    assert len(made) < 3 + INTEGERS


@pytest.mark.parametrize("spec", ["taylor", "auto", "chain"])
def test_powers_that_change_at_zero(spec: str) -> None:
    x = torch.zeros(3, 4, dtype=D)
    for k in (2, 3, 1, 0, 4):

        def field(x: Tensor, k: int = k) -> Tensor:
            return x**k

        def of_sum(x: Tensor, k: int = k) -> Tensor:
            return (x**k).sum(-1)

        call, f = (laplacian, of_sum) if spec == "taylor" else (divergence, field)
        torch.testing.assert_close(call(f, x, spec), call(f, x, "identity"))


def helper(x: Tensor, thing: Any) -> Tensor:
    return x * thing.gain


class Thing:
    """What reads its own attributes in all the ways that there are, and has others beside."""

    def __init__(self, k: int) -> None:
        self.gain, self.inner, self.history = 1.0 + k, [1.0 + k], list(range(k))
        self.log = {f"step {i}": object() for i in range(k)}

    @property
    def twice(self) -> float:
        return 2 * self.gain

    def scaled(self, x: Tensor) -> Tensor:
        return x * self.gain

    def __call__(self, x: Tensor) -> Tensor:
        return self.scaled(x)


class Derived(Thing):
    def scaled(self, x: Tensor) -> Tensor:
        return super().scaled(x) * self.inner[0]


WAYS = [
    lambda thing, x: x * thing.gain,
    lambda thing, x: x * thing.twice,
    lambda thing, x: thing.scaled(x),
    lambda thing, x: thing(x),
    lambda thing, x: helper(x, thing),
    lambda thing, x: x * getattr(thing, "gain", 0.0),
    lambda thing, x: x * vars(thing)["gain"],
    lambda thing, x: x * getattr(thing, "ga" + "in"),
    lambda thing, x: x * thing.__dict__["gain"],
    lambda thing, x: x * thing.inner[0],
    lambda thing, x: x * len(thing.history),
]


@pytest.mark.parametrize(
    ("spec", "way", "kind"),
    [
        (spec, way, kind)
        for way in range(len(WAYS))
        for i, spec in enumerate(["auto", "taylor"])
        for j, kind in enumerate([Thing, Derived])
        if shared(way, i, j, share=2)
    ],
)
def test_what_an_object_holds_counts_where_it_is_read_in_whatever_way(kind: type, way: int, spec: str) -> None:
    for k in (1, 2, 3, 3, 5):
        thing = kind(k)
        function = WAYS[way]
        found = laplacian(lambda x: function(thing, x).sin().prod(-1), X, spec)  # noqa: B023 - called at once
        wanted = parse_strategy("identity").prepare("laplacian", lambda x: function(thing, x).sin().prod(-1), X)(X)  # noqa: B023
        torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("spec", ["auto", "taylor"])
def test_what_is_logged_beside_costs_nothing(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    thing, made = Thing(2), []

    def f(x: Tensor) -> Tensor:
        return thing.scaled(x).sin().prod(-1)

    laplacian(f, X, spec)
    start = Prepared.__init__
    monkeypatch.setattr(Prepared, "__init__", lambda *args: made.append(1) or start(*args))
    for step in range(9):
        thing.history.append(step)
        thing.log[f"at {step}"] = object()
        thing.name, thing.last = f"step {step}", object()
        setattr(thing, f"a{step}", step)
        laplacian(f, X, spec)
    assert made == []
