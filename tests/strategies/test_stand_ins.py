"""Other tensors in place of some, for what is computed within, and nowhere else."""

from __future__ import annotations

import threading

import torch
from torch import nn

from jacstrat.strategies.stand_ins import StandIns


def test_operations_get_the_others_also_in_lists_and_by_name() -> None:
    one, other = torch.ones(2), torch.tensor([2.0, 3.0])
    with StandIns([one], [other]):
        assert torch.equal(one + 1, other + 1)
        assert torch.equal(one.exp(), other.exp())
        assert torch.equal(torch.cat((one, [one][0])), torch.cat((other, other)))
        assert torch.equal(torch.mul(input=one, other=one), other * other)
        assert torch.equal(one.data, other)
        assert float(one[1]) == 3.0
    assert torch.equal(one, torch.ones(2))
    assert torch.equal(one + 1, torch.full((2,), 2.0))


def test_what_a_tensor_is_it_stays() -> None:
    weight = nn.Parameter(torch.ones(2))
    with StandIns([weight], [torch.zeros(2)]):
        assert weight.requires_grad
        assert weight.is_leaf
        assert weight.shape == (2,)


def test_layers_and_recurrent_ones_see_them_and_other_threads_do_not() -> None:
    layer, cell, x = nn.Linear(2, 2), nn.GRU(2, 2), torch.ones(3, 2)
    leaves = [*layer.parameters(), *cell.parameters()]
    before = layer(x)
    elsewhere = []
    with torch.no_grad(), StandIns(leaves, [torch.zeros_like(leaf) for leaf in leaves]):
        assert not bool(layer(x).any())
        assert not bool(cell(x)[0].any())
        thread = threading.Thread(target=lambda: elsewhere.append(layer(x)))
        thread.start()
        thread.join()
    assert torch.equal(elsewhere[0], before)
