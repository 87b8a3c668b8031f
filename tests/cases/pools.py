"""Convolutions, pools and interpolation."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from tests.cases.case import DIVERGENCE, LAPLACIAN, case, normal


@case(
    DIVERGENCE,
    "groups, padding by circle and by reflection, and a transposed convolution",
    "functorch#1023",
    n=8,
    first=lambda: nn.Conv1d(2, 4, 3, padding=1, groups=2, padding_mode="circular"),
    second=lambda: nn.Conv1d(4, 4, 3, padding=1, padding_mode="reflect"),
    last=lambda: nn.ConvTranspose1d(4, 2, 3, padding=1, groups=2),
)
def convolutions(x, c, first, second, last):
    h = (c * x).unflatten(-1, (2, 4))
    return last(torch.tanh(second(torch.tanh(first(h))))).flatten(-2)


@case(
    LAPLACIAN,
    "strides, pixel_shuffle, padding by repetition, unfold and fold",
    "functorch#1023",
    n=8,
    layer=lambda: nn.Conv2d(1, 4, 3, stride=2, padding=1),
)
def patches(x, c, layer):
    h = functional.pixel_shuffle(torch.tanh(layer((c * x).unflatten(-1, (1, 2, 4)))), 2)
    h = functional.pad(h, (1, 1, 1, 1), mode="replicate")
    unfolded = torch.sin(functional.unfold(h, 2, stride=2))
    return functional.fold(unfolded, h.shape[-2:], 2, stride=2).square().sum((-1, -2, -3))


@case(DIVERGENCE, "pools and interpolation in one dimension", "functorch#1019", n=8)
def pools_field(x, c):
    h = (c * x).unsqueeze(-2)
    largest = functional.interpolate(functional.max_pool1d(h, 2), scale_factor=2, mode="linear")
    mean = functional.interpolate(functional.avg_pool1d(h, 2), scale_factor=2, mode="nearest")
    return (largest * mean + functional.adaptive_avg_pool1d(h, 8)).squeeze(-2)


@case(LAPLACIAN, "pools and bicubic interpolation in two dimensions", "functorch#1019", n=9)
def pools(x, c):
    # A ramp, so that the largest are far apart.
    h = (torch.sin(c * x) + torch.linspace(-1, 1, 9, dtype=x.dtype)).unflatten(-1, (1, 3, 3))
    axes = (-1, -2, -3)
    largest = functional.max_pool2d(h, 3, stride=2, ceil_mode=True).square().sum(axes)
    resized = functional.interpolate(h, size=(4, 5), mode="bicubic", align_corners=False).pow(3).sum(axes)
    return largest + resized + functional.lp_pool2d(h + 3, 3, 2).sum(axes)


def sampled(x, c, grid, mode):
    places = torch.tanh(c * x).view(-1, 1, 1, 2)
    return functional.grid_sample(grid.expand(len(places), -1, -1, -1), places, mode=mode, align_corners=True)


@case(DIVERGENCE, "a velocity that is looked up on a grid", "pytorch#34704", n=2, grid=normal(1, 2, 5, 5))
def velocity_on_a_grid(x, c, grid):
    return sampled(x, c, grid, "bilinear").reshape(x.shape)


@case(
    LAPLACIAN,
    "bicubic grid_sample, whose second derivative jumps between cells, and which has no forward mode",
    "PyHessian#7",
    n=2,
    grid=normal(1, 1, 5, 5),
)
def potential_on_a_grid(x, c, grid):
    return sampled(x, c, grid, "bicubic").reshape(x.shape[:-1])
