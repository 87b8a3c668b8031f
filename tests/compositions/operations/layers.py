"""Layers of networks, as functions and as modules."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from tests.compositions.operations.table import Draw, Event, axes, numbers, numel, operation, several


def affine(draw: Draw, event: Event) -> dict[str, Any]:
    """Gains and biases for the last axis."""
    return {"gain": draw.positive(event[-1]), "bias": draw.parameter(event[-1])}


def tokens(y: Tensor) -> Tensor:
    """The event as a sequence, (B, L, d)."""
    return y.reshape(y.shape[0], -1, y.shape[-1])


def projections(draw: Draw, event: Event) -> dict[str, Any]:
    """Matrices for queries, keys and values."""
    return {"weight": draw.parameter(3, event[-1], 4, size=event[-1] ** -0.5), "causal": draw.choice(True, False)}


def sequence(event: Event) -> bool:
    """Two axes, at most six long."""
    return len(event) == 2 and max(event) <= 6


def channels(event: Event) -> bool:
    """Two axes, the last long enough for a window."""
    return len(event) == 2 and event[-1] >= 3


@operation(
    lambda draw, event: {"weight": draw.matrix(event[-1], 4), "bias": draw.parameter(4) if draw.chance(0.6) else None}
)
def linear(y: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return functional.linear(y, weight.T, bias)


@operation(lambda draw, event: {"net": draw.module(lambda: nn.Linear(event[-1], draw.whole(1, 6)))})
def linear_module(y: Tensor, net: nn.Module) -> Tensor:
    return net(y)


@operation(
    lambda draw, event: {
        "net": draw.module(
            lambda: nn.Sequential(nn.Linear(event[-1], 5), nn.Tanh(), nn.Linear(5, event[-1]), nn.Dropout())
        )
    }
)
def network(y: Tensor, net: nn.Module) -> Tensor:
    return net(y) + y


@operation(lambda draw, event: {"net": draw.module(lambda: nn.Sequential(nn.Linear(event[-1], 4), nn.SiLU()))})
def checkpointed(y: Tensor, net: nn.Module) -> Tensor:
    return checkpoint(net, y, use_reentrant=False)


@operation(lambda draw, event: {"net": draw.module(lambda: nn.Bilinear(event[-1], event[-1], 3))})
def bilinear(y: Tensor, net: nn.Module) -> Tensor:
    return net(y, y.sin().contiguous())


@operation(affine, several, doubtful=True)
def layer_norm(y: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    return functional.layer_norm(y + torch.arange(y.shape[-1]), y.shape[-1:], gain, bias, eps=0.1)


@operation(lambda draw, event: {}, axes(2, 2), doubtful=True)
def plain_layer_norm(y: Tensor) -> Tensor:
    return functional.layer_norm(y, y.shape[-2:], eps=0.3)


@operation(lambda draw, event: {"gain": draw.positive(2)}, numbers(6), doubtful=True)
def group_norm(y: Tensor, gain: Tensor) -> Tensor:
    half = y[0].numel() // 2
    return functional.group_norm(y.flatten(1)[:, : 2 * half].unflatten(1, (2, half)), 2, gain, eps=0.3)


@operation(lambda draw, event: {}, axes(2, 2), doubtful=True)
def instance_norm(y: Tensor) -> Tensor:
    return functional.instance_norm(y.flatten(1, -2), eps=0.3)


@operation(lambda draw, event: {"net": draw.module(lambda: nn.BatchNorm1d(numel(event)))}, doubtful=True)
def batch_norm(y: Tensor, net: nn.Module) -> Tensor:
    return net(y.flatten(1))


@operation(affine, several)
def rms_norm(y: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    return functional.rms_norm(y, y.shape[-1:], gain, eps=0.3) + bias


@operation(affine, several)
def normalised(y: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    """A layer norm by hand."""
    z = y + torch.arange(y.shape[-1]) * 0.5
    return (z - z.mean(-1, keepdim=True)) / torch.sqrt(z.var(-1, keepdim=True, correction=0) + 0.1) * gain + bias


@operation(affine)
def normalize(y: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    return functional.normalize(y + gain, dim=-1) + bias


# It writes its norms past autograd; they are large enough for that to change nothing.
@operation(affine)
def cosine_similarity(y: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    return y * functional.cosine_similarity(y + gain, (bias + 0.3 * y.sin()), dim=-1).unsqueeze(-1)


@operation(affine)
def pairwise_distance(y: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    return y.cos() * functional.pairwise_distance(y + gain, bias - gain).unsqueeze(-1)


@operation(lambda draw, event: {"direction": draw.parameter(3, event[-1]), "gain": draw.positive(3, 1)})
def weight_norm(y: Tensor, direction: Tensor, gain: Tensor) -> Tensor:
    return functional.linear(y, torch._weight_norm(direction, gain, 0))


@operation(
    lambda draw, event: {"net": draw.module(lambda: nn.utils.parametrizations.weight_norm(nn.Linear(event[-1], 3)))}
)
def weight_norm_module(y: Tensor, net: nn.Module) -> Tensor:
    return net(y)


@operation(projections, sequence)
def attention(y: Tensor, weight: Tensor, causal: bool) -> Tensor:
    q, k, v = torch.einsum("bld,kde->kble", y, weight)
    return functional.scaled_dot_product_attention(q, k, v, is_causal=causal)


@operation(projections, sequence)
def attention_of_heads(y: Tensor, weight: Tensor, causal: bool) -> Tensor:
    q, k, v = ((y @ one).unflatten(-1, (2, 2)).transpose(1, 2) for one in weight)
    mask = torch.ones(y.shape[1], y.shape[1], dtype=torch.bool).tril() if causal else None
    return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)


@operation(projections, sequence)
def attention_by_hand(y: Tensor, weight: Tensor, causal: bool) -> Tensor:
    q, k, v = (y @ one for one in weight)
    scores = q @ k.mT / 2
    if causal:
        scores = scores.masked_fill(torch.ones(y.shape[1], y.shape[1], dtype=torch.bool).triu(1), float("-inf"))
    return scores.softmax(-1) @ v


@operation(
    lambda draw, event: {
        "net": draw.module(lambda: nn.MultiheadAttention(event[-1], 1 + (event[-1] % 2 == 0), batch_first=True))
    },
    sequence,
)
def multihead_attention(y: Tensor, net: nn.Module) -> Tensor:
    return net(y, y, y, need_weights=False)[0]


@operation(
    lambda draw, event: {"net": draw.module(lambda: nn.TransformerEncoderLayer(event[-1], 1, 5, batch_first=True))},
    sequence,
    doubtful=True,
)
def encoder_layer(y: Tensor, net: nn.Module) -> Tensor:
    return net(y + 0.5 * torch.arange(y.shape[-1]))


@operation(lambda draw, event: {"net": draw.module(lambda: nn.GRUCell(numel(event), 4))})
def gru_cell(y: Tensor, net: nn.Module) -> Tensor:
    return net(y.flatten(1), y.flatten(1)[:, :1].expand(-1, 4).sin())


@operation(lambda draw, event: {"net": draw.module(lambda: nn.LSTMCell(numel(event), 3))})
def lstm_cell(y: Tensor, net: nn.Module) -> Tensor:
    return torch.cat(net(y.flatten(1)), -1)


@operation(
    lambda draw, event: {
        "net": draw.module(lambda: draw.choice(nn.GRU, nn.LSTM, nn.RNN)(event[-1], 3, batch_first=True))
    },
    sequence,
)
def recurrent(y: Tensor, net: nn.Module) -> Tensor:
    return net(y)[0]


@operation(
    lambda draw, event: {"weight": draw.parameter(2, event[0], 3, size=0.5), "bias": draw.parameter(2)}, channels
)
def conv1d(y: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return functional.conv1d(y, weight, bias, padding=1)


@operation(lambda draw, event: {"weight": draw.parameter(event[0], 1, 2, size=0.7)}, channels)
def depthwise_conv1d(y: Tensor, weight: Tensor) -> Tensor:
    return functional.conv1d(y, weight, groups=y.shape[1])


@operation(lambda draw, event: {"weight": draw.parameter(event[0], 2, 2, size=0.5)}, channels)
def conv_transpose1d(y: Tensor, weight: Tensor) -> Tensor:
    return functional.conv_transpose1d(y, weight)[..., :8]


@operation(lambda draw, event: {}, several)
def avg_pool1d(y: Tensor) -> Tensor:
    return functional.avg_pool1d(y.flatten(1).unsqueeze(1), 2, stride=1).squeeze(1)


@operation(lambda draw, event: {}, several)
def max_pool1d(y: Tensor) -> Tensor:
    return functional.max_pool1d(y.flatten(1).unsqueeze(1), 2, stride=1).squeeze(1)


@operation(lambda draw, event: {}, several)
def adaptive_avg_pool1d(y: Tensor) -> Tensor:
    return functional.adaptive_avg_pool1d(tokens(y), 2)


@operation(lambda draw, event: {}, several)
def interpolate(y: Tensor) -> Tensor:
    return functional.interpolate(tokens(y), size=3, mode="linear", align_corners=True)


@operation(lambda draw, event: {}, several)
def local_response_norm(y: Tensor) -> Tensor:
    return functional.local_response_norm(y.flatten(1).unsqueeze(-1), 2, alpha=0.5).squeeze(-1)
