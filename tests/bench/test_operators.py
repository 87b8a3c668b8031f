"""The figures of the operators; no figure decides a test."""

from __future__ import annotations

import pytest
import torch

from bench.checks import operators


@pytest.fixture(autouse=True)
def little(monkeypatch) -> None:
    monkeypatch.setattr(operators, "BATCH", 16)
    monkeypatch.setenv("JACSTRAT_CACHE", "off")


def test_a_ratio_is_that_of_interleaved_rounds(monkeypatch) -> None:
    now = iter(range(10**6))
    monkeypatch.setattr(operators.time, "perf_counter", lambda: next(now))
    value, note = operators.ratio(lambda: next(now), lambda: None, quick=True)
    assert value == 2
    assert note == "quartiles 2.000 to 2.000"


@pytest.mark.parametrize("name", ["together", "plate"])
def test_a_check_gives_its_figures(name: str) -> None:
    figures = operators.CHECKS[name](True)
    assert {figure.check for figure in figures} == {name}
    assert all(figure.value > 0 for figure in figures)


@pytest.mark.long
def test_products_of_some_coordinates_are_counted() -> None:
    shares = {figure.what: figure for figure in operators.coordinates(True)}
    assert shares["2 of 50, taylor"].note.startswith("2 of 50 products; ")
    assert shares["2 of 50, identity"].note.startswith("3 of 51 products; ")
    assert shares["tangents of rank 1, n = 200"].value == 1


def test_every_step_of_a_flow_is_the_same_by_hand() -> None:
    f, x = operators._Velocity(3), operators._points(3)
    t = torch.tensor(0.3, dtype=torch.float64)
    with torch.no_grad():
        for ours, theirs in zip(operators._direct(f, x, t), operators._by_hand(f, x, t), strict=True):
            torch.testing.assert_close(ours, theirs)
        x1, density = operators._runge_kutta(lambda x, t: (x, 0 * x[:, 0] + 3), x, 4)
    torch.testing.assert_close(x1, x * torch.e, rtol=1e-3, atol=0)
    torch.testing.assert_close(density, torch.full_like(density, -3))
