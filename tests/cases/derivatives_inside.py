"""Functions that are derivatives themselves: forces, scores, energies of gradients."""

from __future__ import annotations

import torch
from torch.utils.checkpoint import checkpoint

from tests.cases.case import DIVERGENCE, LAPLACIAN, case, normal


def normalised_energy(z, c, weight):
    """A sum over points of fourth powers, layer-normalised by hand."""
    h = z @ weight.T * c
    h = (h - h.mean(-1, keepdim=True)) / torch.sqrt(h.var(-1, keepdim=True, correction=0) + 1e-5)
    return (h**4).sum()


def energy(z, c, weight):
    """A network whose derivatives save tensors that autograd detaches."""
    h = torch.tanh(z @ weight.T * c)
    return torch.sqrt(h.square().sum(-1) + 1) + torch.sigmoid(h * c).sum(-1).exp()


def mixed_energy(z, c, weight):
    return energy(z, c, weight) + torch.softmax(torch.tanh(z @ weight.T * c), -1).square().sum(-1)


def gradient(function, x):
    """The gradient of the sum of function(x) by torch.autograd.grad, as force fields take it."""
    with torch.enable_grad():
        z = x if x.requires_grad else x.detach().requires_grad_()
        return torch.autograd.grad(function(z).sum(), z, create_graph=True)[0]


@case(DIVERGENCE, "forces by autograd.grad in f, of an energy with var", "pytorch#175477", n=3, weight=normal(3, 3))
def forces(x, c, weight):
    return -gradient(lambda z: normalised_energy(z, c, weight), x)


@case(DIVERGENCE, "the same forces by torch.func.grad", "pytorch#175477", n=3, weight=normal(3, 3))
def functional_forces(x, c, weight):
    return -torch.func.grad(lambda z: normalised_energy(z, c, weight))(x)


@case(DIVERGENCE, "forces of a network by autograd.grad in f", "torchmd-net#307", n=3, weight=normal(3, 3))
def forces_of_a_network(x, c, weight):
    return -gradient(lambda z: energy(z, c, weight), x)


@case(DIVERGENCE, "a score by torch.func.vjp in f", "pytorch#175477", n=3, weight=normal(3, 3))
def score(x, c, weight):
    y, pull = torch.func.vjp(lambda z: energy(z, c, weight), x)
    return pull(torch.ones_like(y))[0]


@case(LAPLACIAN, "|grad u|^2 by autograd.grad in f", "pytorch#175477", n=3, weight=normal(3, 3))
def squared_gradient(x, c, weight):
    return gradient(lambda z: mixed_energy(z, c, weight), x).square().sum(-1)


@case(LAPLACIAN, "|grad u|^2 by torch.func.grad", "pytorch#175477", n=3, weight=normal(3, 3))
def functional_squared_gradient(x, c, weight):
    return torch.func.grad(lambda z: mixed_energy(z, c, weight).sum())(x).square().sum(-1)


@case(
    LAPLACIAN,
    "a directional derivative by jvp in f, which ended the process",
    "pytorch#175477",
    n=3,
    weight=normal(3, 3),
)
def directional_derivative(x, c, weight):
    def root(z):
        return torch.sqrt(torch.tanh(z @ weight.T * c).square().sum(-1) + 1)

    return torch.func.jvp(root, (x,), (torch.ones_like(x),))[1].sin()


@case(LAPLACIAN, "log volumes of a decoder: vmap and jacfwd in f", "functorch#847", n=2)
def decoder_volume(x, c):
    def decoder(p):
        return torch.stack((p[0] * torch.cos(c[0] * p[1]), p[0] * torch.sin(c[1] * p[1]), p.prod() + p[1]))

    def volume(p):
        J = torch.func.jacfwd(decoder)(p)
        return (J.mT @ J + torch.eye(2, dtype=p.dtype)).diagonal().log().sum()

    return torch.vmap(volume)(x) if x.dim() == 2 else volume(x)


@case(LAPLACIAN, "torch.utils.checkpoint computes f again on the way back")
def checkpointed(x, c):
    return checkpoint(lambda z: (torch.tanh(c * z) * z.sum(-1, keepdim=True)).sum(-1), x, use_reentrant=False)
