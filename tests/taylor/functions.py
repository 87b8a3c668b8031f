"""Scalars as people write them, (B, 12) -> (B,), in float64."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

N = 12


class Sine(torch.autograd.Function):
    """A custom function with derivatives of its own."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.sin()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        ctx.save_for_backward(inputs[0])
        ctx.save_for_forward(inputs[0])

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return g * ctx.saved_tensors[0].cos()

    @staticmethod
    def jvp(ctx: Any, t: Tensor) -> Tensor:
        return t * ctx.saved_tensors[0].cos()


sine = Sine.apply


class Same(torch.autograd.Function):
    """The identity, whose tangents come back as the views that they were given as."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return g


def seeded(make: Any) -> Any:
    """A module in float64 with weights that are the same every time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make().double()


MATRIX = torch.randn(N, N, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
MLP = seeded(lambda: nn.Sequential(nn.Linear(N, 16), nn.Tanh(), nn.Linear(16, 8), nn.SiLU(), nn.Linear(8, 1)))
NARROW = seeded(lambda: nn.Sequential(nn.Linear(N, 5), nn.Tanh(), nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 1)))
RESIDUAL = seeded(lambda: nn.ModuleList([nn.Sequential(nn.LayerNorm(N), nn.Linear(N, N), nn.GELU()) for _ in range(2)]))
CONVOLUTION = seeded(lambda: nn.Sequential(nn.Conv1d(3, 5, 2), nn.SiLU(), nn.Flatten(), nn.Linear(15, 1)))
ATTENTION = seeded(lambda: nn.MultiheadAttention(4, 2, batch_first=True))
ENCODER = seeded(lambda: nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, activation="gelu", batch_first=True))


def residual(x: Tensor) -> Tensor:
    for block in RESIDUAL:
        x = x + block(x)
    return x.sin().sum(-1)


def residual_by_hand(x: Tensor) -> Tensor:
    """The same without torch's layer normalisation, whose third derivatives, which training takes, are wrong."""
    for norm, layer, activation in RESIDUAL:
        c = x - x.mean(-1, keepdim=True)
        y = c * torch.rsqrt((c * c).mean(-1, keepdim=True) + norm.eps) * norm.weight + norm.bias
        x = x + activation(layer(y))
    return x.sin().sum(-1)


def attention(x: Tensor) -> Tensor:
    tokens = x.view(-1, 3, 4)
    return ATTENTION(tokens, tokens, tokens, need_weights=False)[0].square().sum((1, 2))


def written_in_place(x: Tensor) -> Tensor:
    y = torch.zeros(x.shape[0], 2, dtype=x.dtype)
    y[:, 0] = x[:, 1] ** 3
    y += x[:, :2].sin()
    return y.prod(-1)


def detached(x: Tensor) -> Tensor:
    with torch.no_grad():
        weight = x.exp()
    return (weight * x.detach() * x**3).sum(-1)


def determinants(x: Tensor) -> Tensor:
    A = x.view(-1, 3, 4)[:, :, :3] + 4 * torch.eye(3, dtype=x.dtype)
    return torch.linalg.slogdet(A)[1] + torch.linalg.inv(A).sum((1, 2)) + torch.linalg.solve(A, A.mT).sum((1, 2))


def chosen(x: Tensor) -> Tensor:
    first = x[:, [0, 2, 3]] * x[:, torch.tensor([1, 2, 1])]
    return first.prod(-1) + x.roll(1, -1)[:, 3] ** 2 * x.flip(-1)[:, 0] + torch.where(x > 0, x**2, x).sum(-1)


def several_ways_in(x: Tensor) -> Tensor:
    # Two narrow layers side by side: their tangents are compressed together.
    a, b = torch.tanh(x @ MATRIX[:, :3]), x @ MATRIX[:, 3:6]
    return (a * b).sum(-1).exp() + (a @ MATRIX[:3, :3] * b).sum(-1)


FUNCTIONS = {
    "mlp": lambda x: MLP(x).squeeze(-1),
    "narrow": lambda x: NARROW(x).squeeze(-1),
    "residual": residual,
    "convolution": lambda x: CONVOLUTION(x.view(-1, 3, 4)).squeeze(-1),
    "attention": attention,
    "encoder": lambda x: ENCODER(x.view(-1, 3, 4)).sin().sum((1, 2)),
    "custom": lambda x: Sine.apply(2 * x).pow(3).sum(-1),
    "custom_identity": lambda x: (Same.apply(x) * MATRIX[0]).sin().prod(-1),
    "written_in_place": written_in_place,
    "inplace_module": lambda x: nn.SiLU(inplace=True)(x * 1.0).prod(-1),
    "detached": detached,
    "vmap": lambda x: torch.func.vmap(lambda row: (row @ MATRIX).tanh().prod())(x),
    "grad": lambda x: torch.func.grad(lambda z: (z @ MATRIX).tanh().pow(3).sum())(x).sum(-1),
    "einsum": lambda x: torch.einsum("bi,ij,bj->b", x.sin(), MATRIX, x.cos()),
    "special": lambda x: torch.erf(x).prod(-1) + torch.special.i0(x).sum(-1) + functional.mish(x).sum(-1),
    "softmaxes": lambda x: functional.softmax(x, -1)[:, 1] * functional.log_softmax(x, -1)[:, 2] * x.logsumexp(-1),
    "norms": lambda x: x.norm(dim=-1) + x.std(-1) * x.norm(p=3, dim=-1) + functional.normalize(x, dim=-1)[:, 0] ** 3,
    "normalised": lambda x: functional.group_norm(x, 3).pow(3).sum(-1) + functional.rms_norm(x, (N,)).pow(3).sum(-1),
    "sorted": lambda x: torch.amax(x**2, -1) + x.max(-1).values ** 3 + torch.sort(x, -1).values[:, 2] ** 2,
    "two_arguments": lambda x: torch.atan2(x[:, 0], x[:, 1]) * torch.hypot(x[:, 2], x[:, 3]) + (x.exp() ** x).sum(-1),
    "determinants": determinants,
    "chosen": chosen,
    "several_ways_in": several_ways_in,
}

# Whose operations cannot be had, with what is said of it.
UNTRACEABLE = {
    "list": (lambda x: (x.sin() * MATRIX.tolist()[0][1]).sum(-1), "it reads the numbers of a tensor by tolist"),
    "branch": (lambda x: (x**3).sum(-1) if x.sum() > 0 else (x**2).sum(-1), "DataDependentOutputException"),
    "applied": (lambda x: sine(2 * x).pow(3).sum(-1), "it applies the custom Function Sine"),
    "complex": (lambda x: torch.fft.rfft(x.sin()).abs().square().sum(-1), "it computes with complex numbers"),
    "number": (lambda x: x.pow(int(x.detach().max() // 10) + 3).sum(-1), "DataDependentOutputException"),
}
