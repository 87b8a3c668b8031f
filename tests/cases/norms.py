"""Layers that normalise, and sizes that are clamped."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from tests.cases.case import DIAGONAL, DIVERGENCE, LAPLACIAN, Sample, case, constant, enter, points


def network(norm: nn.Module, out: int) -> Sample:
    """Three numbers to `out`, with a layer that normalises eight of them; a scalar for one."""
    x = points(4, 3)
    last = [nn.Flatten(0)] if out == 1 else []
    net = nn.Sequential(nn.Linear(3, 8), norm, nn.Tanh(), nn.Linear(8, out), *last).double()
    return Sample(net, x, tuple(net.parameters()))


def stored(out: int) -> Sample:
    """A network with statistics that it has stored."""
    sample = network(nn.BatchNorm1d(8), out)
    sample.f(points(50, 3))
    sample.f.eval()
    return sample


@enter((DIVERGENCE, DIAGONAL), "reverse over forward mode of layer_norm loses a term", "pytorch#196700")
def layer_norm_field() -> Sample:
    return network(nn.LayerNorm(8), 3)


@enter(LAPLACIAN, "third derivatives of layer_norm", "pytorch#196700")
def layer_norm() -> Sample:
    return network(nn.LayerNorm(8), 1)


@enter(DIVERGENCE, "group_norm is layer_norm in torch", "pytorch#198017")
def group_norm_field() -> Sample:
    return network(nn.GroupNorm(2, 8), 3)


@enter(LAPLACIAN, "third derivatives of group_norm", "pytorch#198017")
def group_norm() -> Sample:
    return network(nn.GroupNorm(2, 8), 1)


@enter(DIVERGENCE, "rms_norm has a kernel of its own")
def rms_norm_field() -> Sample:
    return network(nn.RMSNorm(8), 3)


@enter(LAPLACIAN, "third derivatives of rms_norm")
def rms_norm() -> Sample:
    return network(nn.RMSNorm(8), 1)


@enter(
    DIVERGENCE, "batch_norm with stored statistics, which is linear, but has rules for what is not", "pytorch#196699"
)
def batch_norm_field() -> Sample:
    return stored(3)


@enter(LAPLACIAN, "batch_norm with stored statistics in a scalar", "pytorch#73541")
def batch_norm() -> Sample:
    return stored(1)


@case(
    DIVERGENCE,
    "instance_norm is batch_norm with the statistics of one point",
    "pytorch#196699",
    first=lambda: nn.Linear(4, 12),
    norm=lambda: nn.InstanceNorm1d(3, affine=True),
    last=lambda: nn.Linear(12, 4),
)
def instance_norm(x, c, first, norm, last):
    return c * last(torch.tanh(norm(first(x).unflatten(-1, (3, 4))).flatten(-2)))


@case(LAPLACIAN, "std is 0 / 0 where efficient zeros are, and ended the process", "pytorch#4320")
def standardised(x, c):
    y = c * x
    return (y / y.std(-1, keepdim=True)).pow(3).sum(-1)


@case(LAPLACIAN, "renorm leaves short vectors alone", n=6)
def renormed(x, c):
    return torch.renorm((c * x).reshape(-1, 3), 2, 0, 0.5).reshape(x.shape).pow(3).sum(-1)


@case(LAPLACIAN, "clamps its norms in place under no_grad", "pytorch#18057", direction=constant([0.3, 0.9, 0.4, 0.7]))
def cosine_of_an_angle(x, c, direction):
    return cosine_similarity(c * x, direction.expand_as(x), dim=-1) ** 2


@enter(LAPLACIAN, "weights that are computed: by norm, by power iteration, and orthogonal by Householder reflections")
def parametrised_weights() -> Sample:
    x, c = points(4, 4) * 0.5, nn.Parameter(torch.rand(4).double() + 0.5)
    weight = nn.utils.parametrizations
    orthogonal = weight.orthogonal(nn.Linear(8, 4))
    net = nn.Sequential(
        *(weight.weight_norm(nn.Linear(4, 8)), nn.Tanh(), weight.spectral_norm(nn.Linear(8, 8)), nn.Softplus()),
        *(orthogonal, nn.Tanh(), nn.Linear(4, 1)),
    ).double()
    # A step of the power iteration, the last.
    net(points(3, 4))
    net.eval()

    def f(x: Tensor) -> Tensor:
        return net(c * x).squeeze(-1)

    # The signs of its reflections are its diagonal as whole numbers: 1 is 1, and a little less is 0.
    still = (orthogonal.parametrizations.weight.original,)
    return Sample(f, x, (c, *net.parameters()), still)
