"""Fewer directions: only sum_k t_k t_k^T counts, so that K tangents of fewer numbers than K are as good as so many.

With the tangents that are still needed as one matrix T (K, M), M < K, and T = Q R, T^T T = R^T R: the M rows of R serve
as well. Behind a first linear layer of h units n directions become h, for all points at once.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function

from jacstrat.core.errors import UnsupportedError
from jacstrat.taylor.jet import Jet

# Below this share of the directions the decomposition is worth its time.
WORTH = 0.8
# Fewer directions than this are not worth it in any case.
LEAST = 8


class Memory:
    """What recombinations that do not depend on the points gave, by their place, so that tiles have them in common.

    Args:
        with_bases: Whether Q is kept, too, by which tangents along the fewer directions give those along all.
    """

    def __init__(self, with_bases: bool = False) -> None:
        self.with_bases = with_bases
        self.by_index: dict[int, Compressed] = {}

    def copy(self) -> Memory:
        """With what is there by now; what is found later is not in it."""
        other = Memory(self.with_bases)
        other.by_index.update(self.by_index)
        return other


class Compressed(NamedTuple):
    """The tangents of each jet, and Q (K, fewer), None where it is not wanted."""

    tangents: list[Tensor]
    basis: Tensor | None


def compressed(jets: list[Jet], K: int, memory: Memory, index: int, is_fixed: bool) -> Compressed | None:
    """Give jets as few directions as their tangents span together; None where they keep those that they have.

    Args:
        jets: All whose tangents are still needed; changed in place.
        K: Their number of directions.
        memory: Where what was found for the same place is, and is kept for the next time where it `is_fixed`.
    """
    parts = [jet.tangents for jet in jets if not jet.is_point and jet.tangents is not None]
    widths = [part.numel() // K for part in parts]
    if not jets or len(parts) < len(jets) or sum(widths) > WORTH * K:
        return None
    fewer = memory.by_index.get(index)
    if fewer is None:
        T = torch.cat([part.reshape(K, width) for part, width in zip(parts, widths, strict=True)], 1)
        R, Q = _decomposed(T, memory.with_bases)
        columns = R.split(widths, 1)
        fewer = Compressed([c.contiguous().view(len(R), *p.shape[1:]) for c, p in zip(columns, parts, strict=True)], Q)
        if is_fixed:
            memory.by_index[index] = fewer
    for jet, tangents in zip(jets, fewer.tangents, strict=True):
        jet.tangents = tangents
        jet.owned = False
    return fewer


def _decomposed(T: Tensor, with_basis: bool) -> tuple[Tensor, Tensor | None]:
    """R of T = Q R, and Q where it is wanted."""
    if T.dtype in (torch.float16, torch.bfloat16):  # for which there is no decomposition
        R, Q = _decomposed(T.float(), with_basis)
        return R.to(T.dtype), None if Q is None else Q.to(T.dtype)
    if torch.is_grad_enabled() and T.requires_grad:
        Q = torch.linalg.qr(T.detach()).Q
        return _Projection.apply(T, Q), Q if with_basis else None
    if with_basis:
        Q, R = torch.linalg.qr(T)
        return R, Q
    return torch.linalg.qr(T, mode="r").R, None


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
        return _OnceIdentity.apply(Q @ g), None


class _OnceIdentity(Function):
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
