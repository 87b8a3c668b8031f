"""Attention: kernels with one derivative, masks of -inf, and layers with a fast path in eval mode."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from tests.cases.case import DIVERGENCE, LAPLACIAN, case, normal

LATER = torch.ones(3, 3, dtype=torch.bool).triu(1)


def tokens(x, c, weight):
    """Queries, keys and values of three tokens."""
    return ((c * x).unflatten(-1, (3, 2)) @ weight).chunk(3, -1)


@case(DIVERGENCE, "the kernel of attention in a field", "pytorch#117974", n=6, weight=normal(2, 6))
def attention_field(x, c, weight):
    return scaled_dot_product_attention(*tokens(x, c, weight)).flatten(-2)


@case(LAPLACIAN, "second and third derivatives of attention", "pytorch#117974", n=6, weight=normal(2, 6))
def attention(x, c, weight):
    return scaled_dot_product_attention(*tokens(x, c, weight)).square().sum((-1, -2))


# The kernel that torch takes here has no second derivative.
@case(LAPLACIAN, "heads with a mask, and causal", "pytorch#118628", "differences", n=6, weight=normal(2, 6))
def masked_attention(x, c, weight):
    q, k, v = (y.unsqueeze(-3) for y in tokens(x, c, weight))
    masked = scaled_dot_product_attention(q, k, v, attn_mask=~LATER)
    return (masked + scaled_dot_product_attention(q, k, v, is_causal=True)).square().sum((-1, -2, -3))


def scores(x, c):
    """Scores of pairs, -inf for later ones; the first has one left."""
    return ((c * x).unsqueeze(-1) * x.unsqueeze(-2)).masked_fill(LATER, -torch.inf)


@case(LAPLACIAN, "softmax and logsumexp over -inf", "pytorch#118628", n=3)
def softmax_over_infinity(x, c):
    s = scores(x, c)
    return (torch.softmax(s, -1) @ x.unsqueeze(-1)).square().sum((-1, -2)) + torch.logsumexp(s, -1).sum(-1)


@case(DIVERGENCE, "softmax over -inf in a field", "pytorch#118628", n=3)
def softmax_field_over_infinity(x, c):
    return (torch.softmax(scores(x, c), -1) @ x.unsqueeze(-1)).squeeze(-1)


@case(
    DIVERGENCE,
    "MultiheadAttention has another kernel without gradients than with them",
    "pytorch#149609",
    n=8,
    layer=lambda: nn.MultiheadAttention(4, 2, batch_first=True).eval(),
)
def multihead_attention(x, c, layer):
    h = (c * x).unflatten(-1, (2, 4))
    return layer(h, h, h, need_weights=False)[0].flatten(-2)


def encoder(**options):
    return nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True, activation="gelu", **options).eval()


@case(DIVERGENCE, "an encoder layer, one kernel without gradients", "pytorch#149609", n=8, layer=encoder)
def encoder_field(x, c, layer):
    return layer((c * x).unflatten(-1, (2, 4))).flatten(-2)


@case(
    LAPLACIAN,
    "an encoder layer in a scalar, whose attention has no second derivative",
    "pytorch#118628",
    "differences",
    n=8,
    layer=lambda: encoder(norm_first=True),
)
def encoder_scalar(x, c, layer):
    return layer((c * x).unflatten(-1, (2, 4))).square().sum((-1, -2))
