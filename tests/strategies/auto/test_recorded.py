"""`auto` and what records f: chains that are folded, and Taylor mode, traced once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy
import pytest
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

import jacstrat
from jacstrat import STRATEGIES, parse_strategy, strategies
from jacstrat.core.operator import OPERATORS
from jacstrat.strategies.auto import strategy as strategy_of_auto
from jacstrat.strategies.auto.candidates import Candidate
from jacstrat.strategies.auto.counting import OpCounts, ProductCost
from jacstrat.strategies.auto.strategy import _by_shape
from jacstrat.strategies.hold import Hold
from jacstrat.strategies.probing import Identity
from jacstrat.trace import cache
from jacstrat.trace.cache import SHARED
from jacstrat.trace.tracers import is_transformed
from tests.strategies.auto.chosen import W, X, prepare, scalar


class TestChain:
    def test_a_network_of_two_layers_is_folded(self) -> None:
        net = torch.nn.Sequential(torch.nn.Linear(64, 16), torch.nn.Tanh(), torch.nn.Linear(16, 64)).double()
        x = torch.rand(256, 64, dtype=torch.float64)
        with torch.no_grad():
            prepared = prepare(net, x)
            assert prepared.strategy.spec == "chain"
            torch.testing.assert_close(prepared(x), parse_strategy("vmap").prepare("divergence", net, x)(x))

    def test_what_packages_add_is_a_candidate(self, trials, monkeypatch) -> None:
        @dataclass(frozen=True)
        class Sooner(Identity):
            name: ClassVar[str] = "sooner"

            @classmethod
            def candidates(cls, evidence):
                yield Candidate(cls(), ProductCost(OpCounts(ops=1), OpCounts(), OpCounts()), 1, 1, 1e-9)

        monkeypatch.setattr(strategies, "STRATEGIES", {**STRATEGIES, "sooner": Sooner})
        assert prepare(lambda x: x.exp() * x.sum(-1, keepdim=True)).strategy.spec == "sooner"


class TestTaylor:
    """Chosen where it is the fastest, and never traced for a call that would be done sooner without."""

    @pytest.fixture
    def records(self, monkeypatch) -> list[int]:
        """One entry for each recording."""
        made, original = [], cache.record
        SHARED.forget()
        monkeypatch.setattr(cache, "record", lambda *args: made.append(1) or original(*args))
        return made

    def test_it_is_chosen_and_traced_once(self, trials, records) -> None:
        prepared = prepare(scalar, operator="laplacian")
        assert prepared.strategy.spec == "taylor"
        assert re.match(r"taylor: [\d.]+ [um]s against [\d.]+ [um]s of taylor:compress=false", prepared.reason)
        torch.testing.assert_close(prepared(X), jacstrat.laplacian(scalar, X, "vmap"))
        assert len(records) == 1

    def test_in_training_it_may_be_differentiated_twice(self, trials) -> None:
        w = W.clone().requires_grad_()
        prepared = prepare(lambda x: torch.tanh(x @ w).square().sum(-1), operator="laplacian")
        assert prepared.strategy.spec == "taylor:compress=false"
        (slope,) = torch.autograd.grad(prepared(X).sum(), w, create_graph=True)
        assert slope.requires_grad

    def test_direct_calls_use_the_trace_of_the_first(self, trials, records) -> None:
        for _ in range(3):
            torch.testing.assert_close(
                jacstrat.laplacian(lambda x: scalar(x), X), jacstrat.laplacian(scalar, X, "vmap")
            )
        assert len(records) == len(trials) == 1

    def test_a_direct_call_that_cannot_uses_what_needs_none(self, trials, records) -> None:
        class Settings:
            scale = 2.0

        settings = Settings()
        numbers = numpy.ones(1)

        def opaque(x):
            return scalar(settings.scale * float(numbers[0]) * x)

        for _ in range(3):
            torch.testing.assert_close(jacstrat.laplacian(opaque, X), jacstrat.laplacian(opaque, X, "vmap"))
        assert len(records) == 2, "in the first call, for each of its two forms"
        settings.scale = 3.0
        numbers[0] = 2.0
        torch.testing.assert_close(jacstrat.laplacian(opaque, X), jacstrat.laplacian(opaque, X, "vmap"))

    def test_another_shape_is_traced_when_it_comes_again(self, trials, records) -> None:
        prepared = prepare(scalar, operator="laplacian")
        for count in (1, 2, 2):
            torch.testing.assert_close(prepared(X[:2]), jacstrat.laplacian(scalar, X[:2], "vmap"))
            assert len(records) == count

    def test_what_cannot_be_traced_drops_out_and_is_named(self, trials) -> None:
        prepared = prepare(lambda x: scalar(x) * (1 if x.sum() > 100 else 2), operator="laplacian")
        assert prepared.strategy.spec != "taylor"
        assert "; without taylor: UnsupportedError: n VJPs of the gradient" in prepared.reason

    def test_nothing_is_traced_under_a_tracer_or_in_a_transform(self, trials, records) -> None:
        prepare(scalar, operator="laplacian")
        graph = make_fx(lambda x: jacstrat.laplacian(scalar, x))(X)
        torch.testing.assert_close(graph(X + 1), jacstrat.laplacian(scalar, X + 1, "vmap"))
        rows = torch.func.vmap(lambda x: jacstrat.laplacian(scalar, x))(X)
        torch.testing.assert_close(rows, jacstrat.laplacian(scalar, X, "vmap"))
        assert len(records) == 1


class TestSingleCalls:
    """At points of another shape than those that a chain was prepared for."""

    POINTS = torch.rand(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.5

    def check(self, monkeypatch: pytest.MonkeyPatch, spec: str, f: Any) -> list[object]:
        """What was asked of the witness at two shapes that are new; the results are right in any case."""
        asked: list[object] = []

        class Watched(Hold):
            def fault(self, *args: Any, **options: Any) -> str:
                asked.append(spec)
                return super().fault(*args, **options)

        monkeypatch.setattr(strategy_of_auto, "Hold", Watched)
        operator, x = OPERATORS["divergence"], self.POINTS
        traced = parse_strategy("chain").contracted(operator, f, x, (), None)
        evaluate, _ = _by_shape(traced, parse_strategy(spec), operator, f, x)
        for rows in (6, 5, 5, 3):
            expected = parse_strategy("identity").prepare("divergence", f, x[:rows])(x[:rows])
            torch.testing.assert_close(evaluate(x[:rows]), expected)
        return asked

    @pytest.mark.parametrize("spec", ["vmap", "ones"])
    def test_what_serves_them_is_held_against_a_witness_once(self, monkeypatch, spec: str) -> None:
        assert self.check(monkeypatch, spec, lambda x: x.cumsum(-1) * x.sin()) == [spec]  # `ones` is wrong

    def test_what_cannot_serve_them_does_not(self, monkeypatch) -> None:
        def f(x: Tensor) -> Tensor:
            if is_transformed():
                raise RuntimeError("not under vmap")
            return x.cumsum(-1)

        self.check(monkeypatch, "vmap", f)
