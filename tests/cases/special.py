"""Activations and special functions, each of which has rules of its own."""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from tests.cases.case import LAPLACIAN, case, constant, normal

ACTIVATIONS = (
    functional.logsigmoid,
    functional.softplus,
    functional.mish,
    functional.elu,
    functional.celu,
    functional.selu,
    functional.hardswish,
    functional.leaky_relu,
    functional.silu,
    functional.gelu,
    lambda z: functional.gelu(z, approximate="tanh"),
    functional.tanhshrink,
    functional.softshrink,
    functional.hardshrink,
    functional.softsign,
    functional.relu6,
    lambda z: functional.threshold(z, 0.1, 2.0),
    lambda z: functional.glu(torch.cat((z, z * z), -1), -1),
)
# Of numbers in (0.1, 0.9).
SPECIAL = (
    *(torch.lgamma, torch.digamma, torch.erf, torch.erfc, torch.erfinv, torch.logit, torch.sinc),
    *(torch.special.erfcx, torch.special.log_ndtr, torch.special.ndtr, torch.special.ndtri, torch.special.entr),
    *(torch.special.i0, torch.special.i0e, torch.special.i1, torch.special.i1e),
    lambda z: torch.polygamma(2, z),
    lambda z: torch.mvlgamma(z + 2, 2),
)
ELEMENTARY = (
    *(torch.asinh, torch.atanh, torch.log1p, torch.expm1, torch.exp2, torch.log2, torch.rsqrt, torch.deg2rad),
    lambda z: torch.frac(z) * z,
    lambda z: torch.nan_to_num(z) * z,
    lambda z: torch.clamp(z, 0.2, 0.7) * z,
    lambda z: torch.lerp(z, z * z, 0.3),
    lambda z: torch.addcmul(z, z, z, value=0.5),
    lambda z: torch.addcdiv(z, z, z + 1),
    lambda z: torch.remainder(z * 3, 1.0) ** 2,
    lambda z: torch.fmod(z * 3, 1.0) ** 2,
    lambda z: torch.logaddexp(z, z * z),
    lambda z: torch.logaddexp2(z, z * z),
    lambda z: torch.ldexp(z, torch.tensor(2)) * z,
    lambda z: torch.copysign(z, -z) * z,
    lambda z: torch.float_power(z, 2.5),
    lambda z: z**z,
    lambda z: 2**z,
    lambda z: torch.maximum(z, 1 - z) ** 2,
    lambda z: torch.fmin(z, z * z) * z,
    lambda z: torch.hypot(z, z * z),
)


def weighted(functions, z):
    """A sum of all, in which no two have the same weight."""
    return sum((1 + 0.1 * k) * function(z) for k, function in enumerate(functions))


@case(LAPLACIAN, "squares of activations", "functorch#776", n=2)
def activations(x, c):
    z = 2 * c * x
    return (weighted([lambda z, one=one: one(z).pow(2) for one in ACTIVATIONS], z)).sum(-1)


@case(LAPLACIAN, "hardsigmoid and heaviside, which torch does not differentiate as often", truth="differences")
def steps_without_rules(x, c):
    return (functional.hardsigmoid(3 * c * x).pow(2) + torch.heaviside(x, c) * torch.sin(c * x)).sum(-1)


@case(LAPLACIAN, "rrelu, whose kernel counts as random where it draws nothing")
def rrelu(x, c):
    return functional.rrelu(2 * c * x, training=False).pow(2).sum(-1)


@case(LAPLACIAN, "a slope that is learned", "functorch#776")
def prelu(x, c):
    return functional.prelu(2 * c * x, c[:1]).pow(2).sum(-1)


@case(LAPLACIAN, "special functions, most of which call others in their derivatives", n=2)
def special_functions(x, c):
    return weighted(SPECIAL, torch.sigmoid(c * x) * 0.8 + 0.1).sum(-1)


@case(LAPLACIAN, "elementary functions; rsqrt, atanh and ldexp ended the process", "pytorch#190855", n=2)
def elementary_functions(x, c):
    return weighted(ELEMENTARY, torch.sigmoid(c * x) * 0.8 + 0.1).sum(-1)


@case(LAPLACIAN, "distances and angles of a vector to a function of it", n=3)
def vectors(x, c):
    z = torch.sigmoid(c * x) * 0.8 + 0.1
    angle = functional.cosine_similarity(z, z * z + 0.1, dim=-1)
    return angle + functional.normalize(z, dim=-1).sum(-1) + functional.pairwise_distance(z, z * z + 1)


@case(
    LAPLACIAN,
    "mse_loss that is not reduced: forward mode over it ended the process",
    "pytorch#190855",
    target=constant([0.1, 0.8, 0.3, 0.6]),
)
def mean_squares(x, c, target):
    return functional.mse_loss(c * x * x, target.expand_as(x), reduction="none").sum(-1)


@case(LAPLACIAN, "sines and cosines of doubling frequencies, as NeRF has them", n=3, scales=1, weight=normal(18, 5))
def positional_encoding(x, c, weight):
    z = (x.unsqueeze(-1) * 2.0 ** torch.arange(3) * math.pi / 4).flatten(-2)
    return (torch.cat((z.sin(), z.cos()), -1) @ weight * (0.3 * c[0])).tanh().sum(-1)
