"""Biases that are added behind products, in graphs as a compiler lowers them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from jacstrat.strategies.unfused import add_behind_products

X, W, B = torch.linspace(-1, 1, 8).view(2, 4), torch.linspace(0, 2, 12).view(4, 3), torch.arange(3.0)


def products(f: Callable[..., Tensor], *inputs: Tensor) -> list[str]:
    """The products of a graph, once it was seen to do what it did."""
    module = make_fx(f, tracing_mode="fake")(*inputs)
    add_behind_products(module.graph)
    module.graph.lint()
    module.recompile()
    torch.testing.assert_close(module(*inputs), f(*inputs))
    return [node.target._opname for node in module.graph.nodes if node.op == "call_function" and "mm" in node.name]


@pytest.mark.parametrize(
    "f",
    [
        lambda b, x, W: torch.addmm(b, x, W).tanh(),
        lambda b, x, W: (z := torch.addmm(b, x, W)).tanh() + z * z,
        lambda b, x, W: torch.addmm(b, x, W).view(1, 2, 3).transpose(0, 1).exp(),
    ],
)
def test_what_is_bent_is_added_by_the_kernel_that_bends_it(f: Callable[..., Tensor]) -> None:
    assert products(f, B, X, W) == ["mm"]


@pytest.mark.parametrize(
    ("f", "left"),
    [
        (lambda b, x, W: torch.addmm(b, x, W), ["addmm"]),  # a result
        (lambda b, x, W: torch.addmm(b, x, W) @ W.mT, ["addmm", "mm"]),  # a factor
        (lambda b, x, W: torch.addmm(b, x, W).sum(0), ["addmm"]),
        (lambda b, x, W: torch.addmm(b, x, W, alpha=2).tanh(), ["addmm"]),
        (lambda b, x, W: torch.addmm(b.expand(2, 3).cos(), x, W).tanh(), ["addmm"]),  # a matrix
    ],
)
def test_others_are_left(f: Callable[..., Tensor], left: list[str]) -> None:
    assert products(f, B, X, W) == left


def test_half_precision_is_left_to_the_product_which_rounds_once() -> None:
    inputs = [one.bfloat16() for one in (B, X, W)]
    assert products(lambda b, x, W: torch.addmm(b, x, W).tanh(), *inputs) == ["addmm"]


def test_without_data_as_on_another_device_they_are_left() -> None:
    module = make_fx(lambda b, x, W: torch.addmm(b, x, W).tanh())(*(one.to("meta") for one in (B, X, W)))
    add_behind_products(module.graph)
    assert [node.target._opname for node in module.graph.nodes if "mm" in node.name] == ["addmm"]
