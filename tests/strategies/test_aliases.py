"""Aliases take the place of the tensors that a function closes over."""

from __future__ import annotations

import torch

from jacstrat.strategies.aliases import Aliases, aliased


def test_aliases_take_the_place_of_tensors_where_torch_is_called() -> None:
    W, b = torch.randn(3, 3, requires_grad=True), torch.randn(3)
    x = torch.randn(2, 3)
    with Aliases([W]) as aliases:
        y = torch.stack([x @ W + b, (W.mT * 2)[:2]]).sum()
        assert aliased([W, b]) == (aliases.of(W), b)
    assert aliased([W]) == (W,)
    alias = aliases.of(W)
    assert alias is not W
    assert alias.data_ptr() == W.data_ptr()
    mine, own = torch.autograd.grad(y, (alias, W), allow_unused=True)
    assert own is None
    torch.testing.assert_close(mine, x.sum(0).unsqueeze(-1) + torch.tensor([2.0, 2.0, 0.0]))
