"""A network to compile."""

from __future__ import annotations

import torch
from torch import Tensor

from jacstrat import parse_strategy

X = torch.linspace(-1, 1, 12, dtype=torch.float64).view(4, 3)


class Network(torch.nn.Module):
    """A scalar of two layers, and a field of the same."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        shapes = (3, 5), (5, 3)
        self.W, self.V = (
            torch.nn.Parameter(torch.randn(*shape, generator=generator, dtype=torch.float64)) for shape in shapes
        )

    def field(self, x: Tensor) -> Tensor:
        return (x @ self.W).tanh() @ self.V

    def forward(self, x: Tensor) -> Tensor:
        return self.field(x).tanh().sum(-1)


def prepared(spec: str, net: Network, x: Tensor = X):
    return parse_strategy(spec).prepare("laplacian", net, x)
