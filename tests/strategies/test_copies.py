"""Rows taken several times, each for one number of the function: together they are all numbers of all rows."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from jacstrat import divergence
from jacstrat.strategies.copies import Copies, output

X = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
T = torch.rand(5, 1)


def outputs(x: Tensor, *args: Tensor) -> Tensor:
    """(B, 3) -> (B, 2), or (3,) -> (2,); a point by itself has no rows of another."""
    t = args[0] if args else 1.0
    return torch.stack((x.sin().sum(-1), x.prod(-1)), -1) * t


@pytest.mark.parametrize("args", [(), (T,), (torch.tensor(2.0),)], ids=["none", "of rows", "one for all"])
def test_copies_give_each_output_of_each_row(args: tuple[Tensor, ...]) -> None:
    copies = Copies.of(2, X)
    rows, given = copies.points(X, args)
    assert rows.shape == (10, 3)
    found = copies.beside(copies.function(outputs, output)(rows, *given))
    torch.testing.assert_close(found, outputs(X, *args).mT)


def test_a_single_point_is_taken_one_by_one() -> None:
    shapes = []

    def seen(x: Tensor) -> Tensor:
        shapes.append(tuple(x.shape))
        return outputs(x)

    copies = Copies.of(2, X[0])
    rows, given = copies.points(X[0], ())
    one_of = copies.function(seen, output)
    found = copies.beside(one_of(rows, *given))
    torch.testing.assert_close(found, outputs(X[0]))
    assert shapes == [(3,), (3,)]
    torch.testing.assert_close(one_of(rows[1], given[0][1]), outputs(X[0])[1])


@pytest.mark.parametrize("spec", ["jvp", "jacfwd", "vmap"])
def test_a_single_row_is_taken_several_times(spec: str) -> None:
    x = torch.ones(1, 3, dtype=torch.float64)
    found = divergence(lambda x: torch.exp(1j * x), x, spec, coordinates=0)
    torch.testing.assert_close(found, 1j * torch.exp(1j * x[:, 0]))
