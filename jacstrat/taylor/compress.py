"""Fewer directions: only sum_k t_k t_k^T counts, so that K tangents of fewer numbers than K are as good as so many.

With the tangents that are still needed as one matrix T (K, M), M < K, and T = Q R, T^T T = R^T R: the M rows of R serve
as well. Behind a first linear layer of h units n directions become h, for all points at once.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from jacstrat.core.errors import UnsupportedError
from jacstrat.taylor.jet import Jet

# Below this share of the directions the decomposition is worth its time.
WORTH = 0.8
# Fewer directions than this are not worth it in any case.
LEAST = 8


def compressed(jets: list[Jet], K: int, memory: dict[int, list[Tensor]], place: int) -> int:
    """Give jets as few directions as their tangents span together; returns how many these are.

    Args:
        jets: All whose tangents are still needed; changed in place.
        K: Their number of directions.
        memory: Tangents found before for the same place, kept there for the next time.
    """
    parts = [jet.tangents for jet in jets if not jet.is_point and jet.tangents is not None]
    widths = [part.numel() // K for part in parts]
    if not jets or len(parts) < len(jets) or sum(widths) > WORTH * K:
        return K
    if place not in memory:
        T = torch.cat([part.reshape(K, width) for part, width in zip(parts, widths, strict=True)], 1)
        R = _triangle(T)
        columns = R.split(widths, 1)
        memory[place] = [c.contiguous().view(len(R), *p.shape[1:]) for c, p in zip(columns, parts, strict=True)]
    for jet, tangents in zip(jets, memory[place], strict=True):
        jet.tangents = tangents
        jet.owned = False
    return len(memory[place][0])


def _triangle(T: Tensor) -> Tensor:
    """R of T = Q R."""
    if T.dtype in (torch.float16, torch.bfloat16):  # for which there is no decomposition
        return _triangle(T.float()).to(T.dtype)
    if not (torch.is_grad_enabled() and T.requires_grad):
        return torch.linalg.qr(T, mode="r").R
    return _Projection.apply(T, torch.linalg.qr(T.detach()).Q)


class _Projection(Function):
    """Q^T T with Q as a constant, which gives the right derivative of a function of R^T R, and that once only.

    d(R^T R) = dT^T Q Q^T T + T^T Q Q^T dT = d(T^T T), as Q Q^T T = T; whatever the rank of T, where the derivative of
    the decomposition has poles.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(T: Tensor, Q: Tensor) -> Tensor:
        return Q.mT @ T

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        ctx.save_for_backward(inputs[1])

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        (Q,) = ctx.saved_tensors
        return _Once.apply(Q @ g), None


class _Once(Function):
    """The identity on a gradient that may not be differentiated again."""

    generate_vmap_rule = True

    @staticmethod
    def forward(g: Tensor) -> Tensor:
        return g.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        raise UnsupportedError("taylor with compressed directions is differentiable once; use taylor:compress=false")
