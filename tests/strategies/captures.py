"""A network to capture."""

from __future__ import annotations

import torch
from torch import Tensor

from jacstrat import parse_strategy

X = torch.linspace(-1, 1, 36, dtype=torch.float64).view(12, 3)


class Network(torch.nn.Module):
    """A scalar of two layers, and a field of the same, with a buffer that scales them."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        shapes = (3, 5), (5, 3)
        self.W, self.V = (
            torch.nn.Parameter(torch.randn(*shape, generator=generator, dtype=torch.float64)) for shape in shapes
        )
        self.register_buffer("scale", torch.tensor(1.5, dtype=torch.float64))

    def field(self, x: Tensor) -> Tensor:
        return (x @ self.W).tanh() @ self.V * self.scale

    def forward(self, x: Tensor) -> Tensor:
        return self.field(x).tanh().sum(-1)


def prepared(spec: str, net: Network, x: Tensor = X):
    return parse_strategy(spec).prepare("laplacian", net, x)


def gradients(y: Tensor, *leaves: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(y.square().sum(), leaves, retain_graph=True)
