"""Where torch drops terms of a derivative, the strategies that meet it refuse."""

from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor

from jacstrat import UnsupportedError, laplacian, parse_strategy
from jacstrat.strategies import choices
from jacstrat.strategies.auto import RECALL
from jacstrat.strategies.confirm import confirmed

torch.manual_seed(0)
W = torch.randn(5, 4, dtype=torch.float64)
A = torch.randn(4, 4, 4, dtype=torch.float64)
X = torch.randn(3, 4, dtype=torch.float64)


def normed(x: Tensor) -> Tensor:
    return torch.nn.functional.layer_norm(x @ W.T, (5,)).tanh().sum(-1)


def normed_by_hand(x: Tensor) -> Tensor:
    z = x @ W.T
    z = z - z.mean(-1, keepdim=True)
    return (z / torch.sqrt(z.square().mean(-1, keepdim=True) + 1e-5)).tanh().sum(-1)


def log_determinant(x: Tensor) -> Tensor:
    return torch.linalg.slogdet(torch.einsum("...i,ijk->...jk", x.sin(), A) + 3 * torch.eye(4, dtype=x.dtype))[1]


MESSAGE = (
    r"^{} is wrong on this function by \S+ of the sum of \|H_ii\|: in forward mode torch drops terms of the derivative "
    r"of some operation, such as layer_norm or slogdet; use vmap$"
)


@pytest.mark.parametrize(
    ("f", "strategy"),
    [
        (normed, "forward_over_forward"),
        (log_determinant, "forward_over_forward"),
        (log_determinant, "hessian"),
        (log_determinant, "jacfwd"),
    ],
)
def test_a_strategy_that_torch_makes_wrong_refuses(f, strategy: str) -> None:
    for x in (X, X[:1]):
        with pytest.raises(UnsupportedError, match=MESSAGE.format(strategy)):
            laplacian(f, x, strategy)
    if strategy != "jacfwd":
        with pytest.raises(UnsupportedError, match=MESSAGE.format(strategy)):
            laplacian(f, X[0], strategy)
    else:
        # Right at a single point.
        torch.testing.assert_close(laplacian(f, X[0], strategy), laplacian(f, X[0], "vmap"))


@pytest.mark.parametrize("strategy", ["identity", "vmap", "jvp", "jvp:chunk_size=all", "hessian", "jacfwd", "jacrev"])
def test_those_that_are_right_on_a_layer_norm_are_not_refused(strategy: str) -> None:
    torch.testing.assert_close(laplacian(normed, X, strategy), laplacian(normed_by_hand, X, "forward_over_forward"))


def test_auto_never_chooses_a_wrong_one() -> None:
    expected = laplacian(normed_by_hand, X, "vmap")
    for spec in ("auto", "auto:trial=false"):
        torch.testing.assert_close(laplacian(normed, X, spec), expected)
    # A choice kept on disk for a function with the same counts is not trusted.
    for path in choices.folder().iterdir():
        path.write_text(json.dumps({"strategy": "forward_over_forward", "reason": "kept"}))
    RECALL.forget()
    prepared = parse_strategy("auto").prepare("laplacian", lambda x: normed(x), X)
    assert prepared.strategy == parse_strategy("vmap")
    assert "forward_over_forward, chosen for a function that looks the same, cannot serve it" in prepared.reason
    torch.testing.assert_close(prepared(X), expected)
    inside = torch.func.vmap(lambda x: laplacian(normed, x, "auto"))(X)
    torch.testing.assert_close(inside, expected)


def test_nothing_is_looked_at_where_there_are_no_values() -> None:
    def diagonal(x: Tensor) -> Tensor:
        raise AssertionError("called")

    def f(x: Tensor) -> Tensor:
        return x.square().sum(-1)

    for x in (torch.ones(2, 3, device="meta"), torch.ones(0, 3)):
        assert confirmed("s", diagonal, "laplacian", f, x) is diagonal
    assert confirmed("s", diagonal, "divergence", f, torch.ones(2, 3)) is diagonal


def test_a_reference_that_is_not_to_be_had_or_no_number_confirms_nothing() -> None:
    class Forward(torch.autograd.Function):
        @staticmethod
        def forward(x):
            return x * x

        @staticmethod
        def setup_context(ctx, inputs, output):
            pass

        @staticmethod
        def jvp(ctx, t):
            return t

    def one_way(x: Tensor) -> Tensor:
        return Forward.apply(x).sum(-1)

    def zero(x: Tensor) -> Tensor:
        return torch.zeros_like(x)

    assert confirmed("s", zero, "laplacian", one_way, X) is zero
    assert confirmed("s", zero, "laplacian", lambda x: (x - 9).sqrt().sum(-1), X) is zero
    with pytest.raises(UnsupportedError, match="^s is wrong on this function by 1 of the sum"):
        confirmed("s", zero, "laplacian", lambda x: x.pow(3).sum(-1), X)


def test_rounding_is_no_fault() -> None:
    for dtype in (torch.float32, torch.float64):
        x = X.to(dtype)
        harmonic = laplacian(lambda x: (x * x).sum(-1).pow(-1), x, parse_strategy("forward_over_forward"))
        assert harmonic.abs().max() < 1e3 * torch.finfo(dtype).eps * 100
