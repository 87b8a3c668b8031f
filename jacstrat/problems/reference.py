"""A reference: the true diagonal that a result is compared with, and how it was found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Reference:
    """The true diagonal, and what follows from it.

    Fields:
        diagonal: J_ii or H_ii, (B, n), numpy.longdouble.
        source: How it was found, in words.
    """

    diagonal: np.ndarray
    source: str

    def value(self, operator: str) -> np.ndarray:
        """The operator's answer: (B, n) for "jacobian_diagonal", else (B,)."""
        return self.diagonal if operator == "jacobian_diagonal" else self.diagonal.sum(-1)

    def scale(self, operator: str) -> np.ndarray:
        """The size of the terms, which a relative error is relative to, in the shape of `value`.

        The sum of |J_ii| over i, so that a trace near zero is not excused; for "jacobian_diagonal" the largest |J_ii|.
        """
        size = np.abs(self.diagonal)
        if operator == "jacobian_diagonal":
            return np.broadcast_to(size.max(-1, keepdims=True), size.shape)
        return size.sum(-1)


def dense_reference(f: Callable[[Tensor], Tensor], x: Tensor, operator: str) -> Reference:
    """The diagonal of a dense Jacobian, or Hessian for "laplacian", by torch.autograd, row by row.

    In float64 where f takes it; else, as when f holds weights of another dtype, in the dtype of x.
    """
    try:
        diagonal = _dense_diagonal(f, x.detach().double(), operator)
    except RuntimeError:
        diagonal = _dense_diagonal(f, x.detach().clone(), operator)
    return Reference(wide(diagonal), f"dense autograd in {str(diagonal.dtype).removeprefix('torch.')}")


def _dense_diagonal(f: Callable[[Tensor], Tensor], x: Tensor, operator: str) -> Tensor:
    with torch.enable_grad():
        x.requires_grad_()
        y = f(x)
        if operator == "laplacian" and y.requires_grad:
            (y,) = torch.autograd.grad(y.sum(), x, create_graph=True, materialize_grads=True)
        if not y.requires_grad:
            return torch.zeros_like(x)
        rows = (
            torch.autograd.grad(y[..., i].sum(), x, retain_graph=True, materialize_grads=True)[0]
            for i in range(x.shape[-1])
        )
        return torch.stack([row[..., i] for i, row in enumerate(rows)], -1)


def wide(tensor: Tensor) -> np.ndarray:
    """The numbers of a tensor as numpy.longdouble; every dtype here is a part of float64."""
    return tensor.detach().to("cpu", torch.float64).numpy().astype(np.longdouble)
