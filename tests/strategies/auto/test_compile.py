"""auto:compile=true: programs beside eager forms where an operator is prepared, and nowhere else."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import jacstrat
from jacstrat import parse_strategy
from jacstrat.strategies.auto import choosing
from jacstrat.strategies.auto.strategy import CHOICE_CACHE, Auto
from jacstrat.strategies.auto.trial import Trial, run_trial
from jacstrat.strategies.compiled import Compiled

pytestmark = pytest.mark.long(but_one_in=2)

X = torch.linspace(-1, 1, 18, dtype=torch.float64).view(3, 6)
W = torch.linspace(0.1, 1, 36, dtype=torch.float64).view(6, 6).sin()


def field(x: Tensor) -> Tensor:
    return (x @ W).tanh() @ W


def scalar(x: Tensor) -> Tensor:
    return field(x).tanh().sum(-1)


@pytest.fixture
def tried(monkeypatch) -> list[str]:
    """Specs of what stands in a trial, of which nothing is built; the first by counts wins."""
    specs = []

    def run(works, predicted, begin, setup, patience_s, known):
        specs.extend(strategy.spec for strategy in works)
        assert (patience_s > 0) == any(strategy.compiles for strategy in works)
        first = min((one for one in predicted if not one.compiles), key=predicted.__getitem__)
        return Trial({first: [1e-3]})

    monkeypatch.setattr(choosing, "run_trial", run)
    monkeypatch.setenv("JACSTRAT_CACHE", "off")
    CHOICE_CACHE.forget()
    return specs


@pytest.mark.parametrize(("operator", "f", "inner"), [("divergence", field, "chain"), ("laplacian", scalar, "taylor")])
def test_programs_of_the_most_promising_stand_in_the_trial(operator, f, inner, tried) -> None:
    with torch.no_grad():
        Auto(compile=True).prepare(operator, f, X)
    assert {spec for spec in tried if spec.startswith("compiled")} == {f"compiled({inner})", "compiled(vmap)"}


def test_none_stands_there_unasked(tried) -> None:
    Auto().prepare("divergence", field, X)
    jacstrat.divergence(field, X)
    assert tried
    assert not any(spec.startswith("compiled") for spec in tried)


def test_a_proof_is_compiled_with_what_it_is_for(tried) -> None:
    Auto(compile=True).prepare("divergence", torch.sin, X)
    assert "compiled(ones)" in tried


def test_loops_through_f_are_not_compiled(tried) -> None:
    Auto(compile=True).prepare("divergence", lambda x: x.sin() @ torch.ones(64, 64), torch.ones(3, 64))
    assert "compiled(identity)" not in tried


def programs_win(*given: object, **named: object) -> Trial:
    """The trial as it is run, in which programs take no time: how fast this machine is decides nothing."""
    trial = run_trial(*given, **named)
    trial.calls.update({strategy: [1.0, 0.0] for strategy in trial.calls if strategy.compiles})
    return trial


@pytest.mark.long
@pytest.mark.parametrize("train", [False, True])
def test_a_program_is_chosen_and_right(train: bool, monkeypatch) -> None:
    monkeypatch.setattr(choosing, "run_trial", programs_win)
    # A busy machine may take long over the first program, which leaves no patience for the others.
    monkeypatch.setattr(choosing, "PATIENCE_S", 600.0)
    monkeypatch.setenv("JACSTRAT_CACHE", "off")
    CHOICE_CACHE.forget()
    net = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 6)).double()
    with torch.set_grad_enabled(train):
        prepared = parse_strategy("auto:compile=true").prepare("divergence", net, X)
        found, expected = prepared(X), parse_strategy("identity").prepare("divergence", net, X)(X)
    assert isinstance(prepared.strategy, Compiled)
    assert "to compile" in prepared.reason
    torch.testing.assert_close(found, expected)
    if train:
        for one, other in zip(*(torch.autograd.grad(y.sum(), net[0].weight) for y in (found, expected)), strict=True):
            torch.testing.assert_close(one, other)


def test_where_nothing_can_be_compiled_an_eager_form_serves(monkeypatch) -> None:
    def build(self, *_: object) -> object:
        raise RuntimeError("no compiler")

    monkeypatch.setattr(Compiled, "build", build)
    monkeypatch.setenv("JACSTRAT_CACHE", "off")
    CHOICE_CACHE.forget()
    prepared = Auto(compile=True).prepare("divergence", field, X)
    assert not prepared.strategy.compiles
    assert "without compiled(vmap): RuntimeError: no compiler" in prepared.reason
