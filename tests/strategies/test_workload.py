"""What a trial times is a call as it will be used, and nothing of the caller's is touched by it."""

from __future__ import annotations

import torch

from jacstrat.strategies.workload import Workload, leaves_of, same_random_numbers

NET = torch.nn.Linear(3, 1)
X = torch.ones(2, 3)


def f(x, t=1.0):
    return NET(x * t).squeeze(-1)


def test_it_trains_where_gradients_are_tracked_and_f_has_any() -> None:
    assert Workload.of(f, X).name == "train"
    assert Workload.of(lambda x: x.sum(-1), X).name == "evaluate"
    with torch.no_grad():
        assert Workload.of(f, X).name == "evaluate"


def test_leaves_are_those_of_f_and_points_that_require_grad_cut_off_from_their_past() -> None:
    source = X.clone().requires_grad_()
    workload = Workload.of(f, source * 2, (torch.ones(2, 1),))
    assert workload.x.is_leaf
    assert {id(leaf) for leaf in workload.leaves} == {id(NET.weight), id(NET.bias), id(workload.x)}
    assert {id(leaf) for leaf in leaves_of(f(source))} == {id(NET.weight), id(NET.bias), id(source)}


def test_a_call_goes_there_and_back_fills_no_grad_and_leaves_the_graph() -> None:
    calls = []
    inner = NET(X).sum()

    def evaluate(x):
        calls.append(x)
        return f(x) * inner

    workload = Workload.of(f, X)
    assert workload.call(evaluate) is None, "the clock of a CPU is the caller's"
    assert calls == [workload.x]
    assert NET.weight.grad is None
    inner.backward()
    NET.zero_grad()


def test_random_numbers_drawn_meanwhile_change_none_of_the_callers() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    with same_random_numbers(torch.device("cpu")):
        torch.rand(100)
    assert torch.equal(torch.rand(3), expected)
