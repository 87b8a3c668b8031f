"""The modules that a function holds, wherever it keeps them."""

from __future__ import annotations

from functools import partial, wraps

import torch
from torch import nn

from jacstrat.problems.introspection import inputs, mixing, modules, random

outer = nn.Sequential(nn.Linear(5, 3), nn.BatchNorm1d(3))


def helper(x):
    return outer(x)


class Holder:
    def __init__(self):
        self.net = nn.Sequential(nn.Linear(4, 4), nn.Dropout())

    def __call__(self, x):
        return self.net(x)

    def method(self, x):
        return self.net(x)


def doubled(f):
    @wraps(f)
    def twice(x):
        return 2 * f(x)

    return twice


def recursive(x):
    return recursive(x - 1) if x.sum() > 0 else outer(x)


def with_net(x, net):
    return net(x)


def test_modules_are_found() -> None:
    inner = nn.Linear(2, 2)
    assert modules(inner) == {"": inner}
    assert modules(lambda x: inner(x)) == {"inner": inner}
    assert modules(lambda x: helper(x)) == modules(doubled(helper)) == modules(recursive) == {"outer": outer}
    assert modules(partial(with_net, net=inner)) == {"net": inner}
    assert modules(inner.forward) == {"self": inner}
    holder = Holder()
    assert modules(holder) == modules(holder.method) == {"net": holder.net}
    assert modules(torch.no_grad()(helper)) == {"outer": outer}
    assert modules(torch.sin) == {}


def test_a_cell_that_is_still_empty_is_no_fault() -> None:
    def early(x):
        return late(x)

    assert modules(early) == {}
    late = torch.sin
    assert modules(early) == {}
    assert torch.equal(early(torch.ones(1)), late(torch.ones(1)))


def test_layers_in_training_mode_are_named() -> None:
    assert mixing(helper) == "outer.1 (BatchNorm1d)"
    assert random(helper) is None
    assert random(Holder()) == "net.1 (Dropout)"
    assert mixing(nn.BatchNorm1d(3)) == "f (BatchNorm1d)"
    assert random(nn.MultiheadAttention(4, 2, dropout=0.1)) == "f (MultiheadAttention)"
    assert random(nn.MultiheadAttention(4, 2)) is None
    assert mixing(nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))) == "layer 1 (BatchNorm1d)"
    assert mixing(nn.Sequential(nn.BatchNorm1d(3)).eval()) is None


def test_inputs_are_those_of_the_first_linear_layer() -> None:
    assert inputs(helper) == [5]
    assert inputs(torch.sin) == inputs(nn.Tanh()) == []
