"""What is set up before a proof, and which proofs are not made for it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from jacstrat.core.operator import OPERATORS
from jacstrat.strategies.auto import strategy as auto
from jacstrat.strategies.auto.candidates import Candidate, Evidence
from jacstrat.strategies.auto.counting import UNKNOWN, product_costs
from jacstrat.strategies.auto.early import at_best, beats, calls_of, soon
from jacstrat.strategies.auto.offers import on_ground
from jacstrat.strategies.auto.strategy import CHOICE_CACHE, Auto
from jacstrat.strategies.auto.trial import SETTLED
from jacstrat.strategies.chain import Chain
from jacstrat.strategies.probing import Identity, Vmap

X = torch.linspace(-1, 1, 64 * 256).view(64, 256)
COSTS = product_costs(OPERATORS["divergence"], UNKNOWN.work)
COST = COSTS["vjp"]
EVIDENCE = Evidence(OPERATORS["divergence"], X, COSTS, UNKNOWN.work)


def candidate(strategy=None, op_s: float = 1e-6, setup_s: float = 0.01) -> Candidate:
    return Candidate(strategy or Chain(), COST, 1, 1, op_s, setup_s=setup_s)


@pytest.fixture
def proofs(monkeypatch) -> list[int]:
    """One entry for each proof that is looked for."""
    monkeypatch.setenv("JACSTRAT_CACHE", "off")
    CHOICE_CACHE.forget()
    made, original = [], auto.prove_structure
    monkeypatch.setattr(auto, "prove_structure", lambda *args: made.append(1) or original(*args))
    return made


def stencil(x: Tensor) -> Tensor:
    return x.roll(1, -1) + x.roll(-1, -1) - 2 * x + x * (1 - x.square())


def test_no_proof_is_made_where_a_chain_is_faster_than_any_could_be(proofs) -> None:
    with torch.no_grad():
        prepared = Auto().prepare("divergence", stencil, X)
    assert not proofs
    assert prepared.strategy.name != "coloring"


def test_a_proof_is_made_of_what_looks_diagonal(proofs) -> None:
    with torch.no_grad():
        Auto().prepare("divergence", torch.sin, X)
    assert proofs


def test_a_proof_is_made_where_the_chain_refuses(proofs, monkeypatch) -> None:
    def build(*_: object) -> object:
        raise RuntimeError("no chain")

    monkeypatch.setattr(Chain, "build", build)
    with torch.no_grad():
        prepared = Auto().prepare("divergence", stencil, X)
    assert proofs
    assert "without chain: RuntimeError: no chain" in prepared.reason


def test_what_takes_longer_than_a_proof_or_is_hopeless_is_not_set_up() -> None:
    others = [candidate(Vmap(), setup_s=0.0), candidate(Identity(), setup_s=0.0)]
    assert [one.strategy for one in soon([candidate(), *others], EVIDENCE)] == [Chain()]
    assert not soon([candidate(op_s=1e-4), *others], EVIDENCE)
    assert not soon([candidate(setup_s=5.0), *others], EVIDENCE)
    assert not soon(others, EVIDENCE)


def test_calls_are_counted_and_failures_named() -> None:
    done = []

    def work(one: Candidate):
        return lambda: done.append(1) if one.strategy == Chain() else 1 / 0

    called, failures = calls_of([candidate(), candidate(Vmap())], work)
    assert list(called) == [Chain()]
    assert len(called[Chain()]) == len(done) == 1 + SETTLED
    assert list(failures) == ["vmap"]
    assert isinstance(failures["vmap"], ZeroDivisionError)


def test_the_best_of_a_proof_is_one_product_of_a_diagonal_and_two_of_anything_else() -> None:
    assert {one.probes for one in on_ground(at_best(EVIDENCE, "diagonal"))} == {1}
    assert {one.probes for one in on_ground(at_best(EVIDENCE, "sparse"))} == {2}


def test_what_was_not_called_beats_nothing() -> None:
    slow, fast = candidate(Vmap(), op_s=1.0), candidate()
    assert beats({Chain(): [1.0]}, [fast], [slow], X)
    assert not beats({}, [fast], [slow], X)
    assert not beats({Vmap(): [1.0]}, [slow], [fast], X)
    assert beats({Chain(): [1.0]}, [fast], [], X)
