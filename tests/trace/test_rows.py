"""Whether a function may be asked for a part of its rows."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from jacstrat.trace.rows import are_coupled, rows_apart

X = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
T = torch.randn(5, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
NET = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 3)).double()


@pytest.mark.parametrize(
    "f",
    [torch.sin, NET, lambda x: NET(x).sum(-1), lambda x: x @ T[:3], torch.zeros_like, lambda x: x * T[0]],
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_rows_of_a_plain_function_can_be_taken_in_parts(f: Callable[[Tensor], Tensor], dtype: torch.dtype) -> None:
    for x in (X, X[:2], X[:3]):
        if dtype == torch.float32 and f is torch.sin:
            x = x.float()
        assert rows_apart(f, x) == ""


def test_a_tensor_of_as_many_rows_is_told() -> None:
    message = (
        "takes no other number of rows than the 5 of x, as if it held a tensor of 5 rows "
        "(The size of tensor a (2) must match the size of tensor b (5) at non-singleton dimension 0)"
    )
    assert rows_apart(lambda x: x * T, X) == message
    assert rows_apart(lambda x: torch.cat((x, T), -1).sum(-1), X).startswith("takes no other number of rows than the 5")


def test_a_tensor_cut_to_the_rows_of_x_is_told() -> None:
    message = "gives other numbers for rows of x taken by themselves, as if it held a tensor of 5 rows"
    assert rows_apart(lambda x: x * T[: len(x)], X) == message
    assert rows_apart(lambda x: x * T[: len(x)], X[:2]) == message.replace("5", "2")
    assert rows_apart(lambda x: x - x.mean(0), X) == message


def test_another_shape_is_told() -> None:
    assert rows_apart(lambda x: x.T[:2].T if len(x) > 2 else x, X) == "gives other shapes for 2 of the 5 rows of x"


@pytest.mark.parametrize("x", [X[0], X[:1], X[:0], X.to("meta")], ids=["point", "row", "none", "meta"])
def test_there_is_nothing_to_be_seen_without_two_rows_of_numbers(x: Tensor) -> None:
    def uncalled(x: Tensor) -> Tensor:
        raise AssertionError

    assert rows_apart(uncalled, x) == ""


def test_rounding_is_no_difference() -> None:
    noise = torch.tensor([1.0, 1 + 1e-12], dtype=torch.float64)
    assert rows_apart(lambda x: x * noise[len(x) % 2], X) == ""
    assert rows_apart(lambda x: x * (1 + 1e-4 * (len(x) % 2)), X) != ""


def test_what_is_no_number_tells_nothing() -> None:
    assert rows_apart(lambda x: (x - 9).log() * T[: len(x)], X) == ""


def test_whole_numbers_are_compared_exactly() -> None:
    assert rows_apart(lambda x: (x > 0).long(), X) == ""
    assert rows_apart(lambda x: (x > 0).long() + len(x), X).startswith("gives other numbers")


def test_no_graph_is_made_of_it() -> None:
    seen = []

    def watched(x: Tensor) -> Tensor:
        seen.append((tuple(x.shape), x.requires_grad, torch.is_grad_enabled()))
        return x

    assert rows_apart(watched, X.clone().requires_grad_()) == ""
    assert seen == [((5, 3), False, False), ((2, 3), False, False)]


def test_what_f_raises_at_x_goes_through() -> None:
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        rows_apart(lambda x: x @ torch.ones(4, 4).double(), X)


@pytest.mark.parametrize(
    ("f", "is_coupled"),
    [
        (lambda x: x - x.mean(0), True),
        (lambda x: x.softmax(0), True),
        (lambda x: x.flip(0), True),
        (lambda x: torch.cat((x[:3], x[4:], x[3:4])), True),
        (NET, False),
        (lambda x: x * T, False),
        (lambda x: x * T[: len(x)], False),
        (lambda x: torch.exp(x - x.detach().max()), False),
        (lambda x: x.sin() * x.sum().item(), False),
        (lambda x: x.detach(), False),
    ],
    ids=["mean", "softmax", "flip", "two", "network", "rows", "cut", "shift", "number", "constant"],
)
def test_rows_are_coupled_by_derivatives(f: Callable[[Tensor], Tensor], is_coupled: bool) -> None:
    assert are_coupled(f, X) is is_coupled
    with torch.no_grad():
        assert are_coupled(f, X) is is_coupled
