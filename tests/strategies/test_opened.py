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
from tests.strategies.makers import MAKERS, NET, D, X, scalar, with_branch, with_object, with_size


@pytest.fixture
def recordings(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """One for each recording of a function."""
    made: list[object] = []
    record = jacstrat.trace.cache.record
    monkeypatch.setattr(jacstrat.trace.cache, "record", lambda *args: made.append(1) or record(*args))
    return made


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("spec", ["auto", "identity", "vmap", "chain", "ones"])
def test_the_divergence_is_that_of_each_function(make: Any, spec: str) -> None:
    for k in range(7):
        if spec == "ones":
            found, expected = divergence(make(k), X, spec), parse_strategy(spec).prepare("divergence", make(k), X)(X)
        else:
            found, expected = divergence(make(k), X, spec), divergence(make(k), X, "jvp")
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("spec", ["auto", "taylor", "jvp"])
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
