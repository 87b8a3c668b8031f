"""Random chains: whatever depth, widths, activations, residual sums and permutations, as their dense Jacobian."""

from __future__ import annotations

from collections.abc import Callable

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from jacstrat.chain import Field

ACTIVATIONS = (
    torch.tanh,
    torch.sin,
    functional.gelu,
    functional.silu,
    functional.softplus,
    torch.square,
    torch.sigmoid,
)
KINDS = ("linear", "activation", "residual", "gate", "permutation", "roll", "scale", "coupling")
Layer = Callable[[Tensor], Tensor]


@st.composite
def fields(draw: st.DrawFn) -> tuple[Layer, int]:
    """A field of up to eight layers, and its n."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    n = draw(st.integers(1, 5))
    layers: list[Layer] = []
    width = n
    for _ in range(draw(st.integers(1, 8))):
        after = draw(st.integers(1, 5))
        layers.append(layer(draw(st.sampled_from(KINDS)), width, after, draw(st.sampled_from(ACTIVATIONS)), generator))
        width = len(layers[-1](torch.zeros(width, dtype=torch.float64)))
    layers.append(layer("linear", width, n, torch.tanh, generator))

    def field(x: Tensor) -> Tensor:
        for one in layers:
            x = one(x)
        return x

    return field, n


def layer(kind: str, width: int, after: int, activation: Layer, generator: torch.Generator) -> Layer:
    """One layer for so many entries; where it may change their number, to `after`."""

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=generator) / width**0.5

    W, U, V, b = normal(after, width), normal(after, width), normal(width, after), normal(after)
    order = torch.randperm(width, generator=generator)
    half = width // 2
    return {
        "linear": lambda x: functional.linear(x, W, b),
        "activation": activation,
        "residual": lambda x: x + functional.linear(activation(functional.linear(x, U, b)), V),
        "gate": lambda x: x * torch.sigmoid(x) - 0.5 * activation(x),
        "permutation": lambda x: x[..., order],
        "roll": lambda x: x.roll(1, -1) + 2 * x.flip(-1),
        "scale": lambda x: (x + 1) * V[:, 0] / 3,
        "coupling": lambda x: torch.cat((x[..., :half], x[..., half:] * activation(x[..., :1]).cos()), -1),
    }[kind]


@settings(max_examples=30)
@given(fields(), st.sampled_from([None, 1, 3]))
def test_a_random_chain_agrees_with_its_dense_jacobian(made: tuple[Layer, int], B: int | None) -> None:
    f, n = made
    x = torch.randn(*(n,) if B is None else (B, n), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    J = torch.stack([torch.func.jacrev(f)(row) for row in x.reshape(-1, n)])
    scale = 1 + float(J.abs().max()) * n
    expected = J.diagonal(dim1=1, dim2=2)
    with torch.no_grad():
        diagonal, total = Field(f, diagonal=True)(x), Field(f, diagonal=False)(x)
    torch.testing.assert_close(diagonal, expected.reshape(x.shape), rtol=0, atol=1e-11 * scale)
    torch.testing.assert_close(total, expected.sum(1).reshape(x.shape[:-1]), rtol=0, atol=1e-11 * scale)
