"""A module that is moved within f, mostly to where it is: no transform leaves a tensor of its own in its parameters."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from jacstrat import curl, divergence, gradient, laplacian
from jacstrat.strategies.sets_data import DataSets, kept_from_data

D = torch.float64
X = torch.randn(4, 3, dtype=D, generator=torch.Generator().manual_seed(0))
EXACT = ["auto", "identity", "vmap", "jvp", "jacrev", "jacfwd", "coloring", "chain"]


def network(outputs: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, outputs)).to(D)


@pytest.mark.parametrize("strategy", EXACT)
def test_a_module_that_f_moves_to_where_it_is_is_served_by_all_and_stays_whole(strategy: str) -> None:
    net = network()
    wanted = divergence(net, X, "identity")
    for _ in range(2):
        found = divergence(lambda x: net.to(x.device, x.dtype)(x), X, strategy)
        torch.testing.assert_close(found, wanted)
    # Read in a process of its own it would be that which dies.
    assert all(type(p) is nn.Parameter and type(p.data) is torch.Tensor for p in net.parameters())
    torch.testing.assert_close(divergence(net, X, "identity"), wanted)


@pytest.mark.long
def test_the_default_call_does_not_end_the_interpreter() -> None:
    program = """
import torch
from torch import nn
from jacstrat import divergence
net, x = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 3)), torch.randn(4, 3)
for _ in range(3):
    divergence(lambda x: net.to(x.device)(x), x)
print(sum(float(p.sum()) for p in net.parameters()) == sum(float(p.sum()) for p in net.parameters()))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr


def test_gradient_curl_and_laplacian_take_it_too() -> None:
    scalar, field = network(1), network()
    torch.testing.assert_close(gradient(lambda x: scalar.to(x.dtype)(x), X), gradient(scalar, X))
    torch.testing.assert_close(curl(lambda x: field.to(x.dtype)(x), X), curl(field, X))
    torch.testing.assert_close(laplacian(lambda x: scalar.to(x.dtype)(x), X), laplacian(scalar, X, "identity"))


def test_what_moves_for_good_has_moved_when_it_is_differentiated() -> None:
    net = network().float()
    torch.testing.assert_close(divergence(lambda x: net.to(x.dtype)(x), X, "vmap"), divergence(net, X, "identity"))
    assert net[0].weight.dtype == D


def test_what_is_set_to_something_else_is_left_to_reverse_mode() -> None:
    weight = torch.ones(3, dtype=D)

    def f(x: torch.Tensor) -> torch.Tensor:
        weight.data = weight.data.clone()
        return (x * weight).sin()

    torch.testing.assert_close(divergence(f, X), X.cos().sum(-1))
    with pytest.raises(RuntimeError, match="f sets .data of a tensor, as module.to.. does, which plain auto"):
        torch.func.vjp(kept_from_data(f), X)


def test_only_what_sets_data_is_seen() -> None:
    weight = torch.ones(3)
    with DataSets() as sets:
        _ = weight.data + weight
    assert not sets.seen
    with DataSets() as sets:
        weight.data = weight
    assert sets.seen
