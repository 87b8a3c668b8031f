"""Autograd functions as people write them: of the old style, which torch.func refuses."""

from __future__ import annotations

import torch
from torch.autograd.function import once_differentiable


class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, cotangent):
        (x,) = ctx.saved_tensors
        return 3 * x**2 * cotangent


class CubeOnce(Cube):
    """A second derivative of it is refused, or not asked for at all, and 0."""

    backward = staticmethod(once_differentiable(Cube.backward))
