"""A choice that is kept: in the process, and on disk for the next one."""

from __future__ import annotations

import json

import pytest
import torch

import jacstrat
from jacstrat.strategies.auto import counted, disk_cache
from jacstrat.strategies.auto import strategy as auto
from jacstrat.strategies.auto.strategy import CHOICE_CACHE
from tests.strategies.auto.chosen import N, W, X, dense, prepare, trace_of
from tests.strategies.test_base import _OldStyle


class TestKept:
    def test_a_second_preparation_needs_no_trial(self, trials) -> None:
        first = prepare(dense)
        assert prepare(dense).strategy == first.strategy
        assert prepare(dense).reason == first.reason
        assert len(trials) == 1

    def test_a_new_lambda_in_every_step_needs_no_trial(self, trials) -> None:
        w = W.clone()
        for step in range(5):
            jacstrat.divergence(lambda x, w=w: torch.tanh(x @ w), X + step)
            w = w + 0.1
        assert len(trials) == 1

    @pytest.mark.parametrize(
        "other",
        [
            lambda: prepare(dense, X[:1]),
            lambda: prepare(dense, X.float().double().requires_grad_()),
            lambda: prepare(dense, operator="jacobian_diagonal"),
            lambda: torch.no_grad()(prepare)(dense),
        ],
    )
    def test_other_circumstances_need_their_own(self, trials, other) -> None:
        prepare(dense)
        other()
        assert len(trials) == 2

    def test_a_single_call_makes_no_trace_where_that_takes_longer_than_it_saves(self, monkeypatch) -> None:
        for _ in range(2):
            torch.testing.assert_close(jacstrat.divergence(torch.sin, X), X.cos().sum(-1))
        monkeypatch.setattr(auto, "prove_structure", None)
        torch.testing.assert_close(jacstrat.divergence(torch.sin, X), X.cos().sum(-1))

    def test_a_function_that_changed_in_place_is_chosen_for_anew(self, trials) -> None:
        net = torch.nn.Sequential(torch.nn.Linear(N, N), torch.nn.Tanh(), torch.nn.Linear(N, N)).double()
        jacstrat.divergence(net, X)
        net[1] = type("Old", (torch.nn.Module,), {"forward": lambda self, x: _OldStyle.apply(x)})()
        monkey = [trials[0]]
        result = jacstrat.divergence(net, X)
        torch.testing.assert_close(result, jacstrat.divergence(net, X, "identity"))
        assert trials[:1] == monkey

    def test_on_disk_it_needs_no_trial_in_the_next_process(self, trials) -> None:
        first = prepare(dense)
        CHOICE_CACHE.forget()
        again = prepare(dense)
        assert (again.strategy, again.reason) == (first.strategy, first.reason)
        assert len(trials) == 1
        # Nor for an equal function that is another object, as it is in another process.
        assert prepare(lambda x: torch.tanh(x @ W)).strategy == first.strategy
        assert len(trials) == 1

    @pytest.mark.parametrize(
        "change",
        [
            lambda patch: patch.setattr(torch, "__version__", "0.0"),
            lambda patch: patch.setattr(counted, "read_version", lambda: "0.0"),
            lambda patch: patch.setattr(disk_cache, "processor", lambda: "another"),
            lambda patch: patch.setattr(torch, "get_num_threads", lambda: 77),
            lambda patch: patch.setenv("JACSTRAT_CACHE", "off"),
            lambda patch: [file.write_text("{") for file in disk_cache.folder().iterdir()],
        ],
    )
    def test_on_disk_it_is_another_elsewhere(self, trials, monkeypatch, change) -> None:
        prepare(dense)
        CHOICE_CACHE.forget()
        change(monkeypatch)
        prepare(dense)
        assert len(trials) == 2

    def test_other_work_is_another_on_disk(self, trials) -> None:
        prepare(dense)
        prepare(lambda x: torch.tanh(x @ W) + x)
        prepare(lambda x: torch.tanh(x @ W) * 2)
        prepare(lambda x: torch.tanh(x @ W) * 3)
        assert len(trials) == 4

    @pytest.mark.parametrize("planted", ["ones", "coloring", "hutchinson", "vmap:chunk_size=7", "no such", ""])
    def test_a_choice_on_disk_is_a_hint_that_makes_nothing_wrong(self, trials, planted: str) -> None:
        prepare(dense)
        CHOICE_CACHE.forget()
        for file in disk_cache.folder().iterdir():
            file.write_text(json.dumps({"strategy": planted, "reason": "planted"}))
        prepared = prepare(dense)
        assert prepared.reason != "planted"
        torch.testing.assert_close(prepared(X), trace_of(dense))

    def test_a_structural_choice_on_disk_is_proved_again(self, trials) -> None:
        first = prepare(torch.sin)
        CHOICE_CACHE.forget()
        assert prepare(torch.sin).reason == first.reason
        assert len(trials) == 1
        CHOICE_CACHE.forget()
        # The same operations on these values, and another structure for others.
        prepared = prepare(lambda x: torch.sin(x) if bool((x < 2).all()) else x.flip(-1))
        assert prepared.strategy.spec != "ones"
