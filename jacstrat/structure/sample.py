"""The pattern of a Jacobian from its numbers at several points: evidence, no proof."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from jacstrat.core.operator import Operator
from jacstrat.trace.arguments import Args, Function, bind, of_rows, taken
from jacstrat.trace.graph import few

# Coordinates up to which n products at each point are made.
MAX_N = 2_000
# How far from x the copies lie, as a share of its largest coordinate, or of 1 where it is zero.
SCALES = (0.0, 0.01, 0.3, 1.0, 3.0)
SEED = 0
CHUNK = 256


def sampled(f: Function, x: Tensor, operator: Operator, args: Args = ()) -> csr_array | None:
    """Entries of J, or of the Hessian, that are not zero at the first rows of x or at perturbed copies of them.

    Points at which f is not finite, as outside its domain, are left out; None where none is left.

    Cost: n VJP at each of five points, n^2 bytes.
    """
    pattern: np.ndarray | None = None
    its_args = taken(x, args, slice(2)) if x.dim() == 2 and len(x) else _for_a_row(x, args)
    for point in _points(x):
        rows = _rows(bind(f, its_args), point, operator)
        if rows is not None:
            pattern = rows if pattern is None else pattern | rows
    return None if pattern is None else csr_array(pattern)


def _for_a_row(x: Tensor, args: Args) -> Args:
    """Arguments for one row, where x has none, or is one."""
    goes = of_rows(x, args)
    return tuple(arg.new_zeros(1, *arg.shape[1:]) if its else arg for arg, its in zip(args, goes, strict=True))


def _points(x: Tensor) -> Iterator[Tensor]:
    """The first rows of x and copies of them, as few as are traced."""
    generator = torch.Generator().manual_seed(SEED)
    first = x.detach()[:2] if x.dim() == 2 and len(x) else x.detach().new_zeros(few(x)) if x.dim() == 2 else x.detach()
    size = float(first.abs().max()) or 1.0
    for scale in SCALES:
        noise = torch.randn(first.shape, generator=generator, dtype=torch.float64, device="cpu").to(first)
        yield first + scale * size * noise


def _rows(f: Function, points: Tensor, operator: Operator) -> np.ndarray | None:
    """Whether each entry is other than 0 at one of the points, (n, n); None where f is not finite."""
    n = points.shape[-1]
    pattern = np.zeros((n, n), dtype=bool)
    with torch.inference_mode(False), torch.enable_grad():
        x = points.clone().requires_grad_()
        y = f(x)
        if not bool(y.isfinite().all()):
            return None
        if operator.is_second and y.requires_grad:
            (y,) = torch.autograd.grad(y.sum(), x, create_graph=True, materialize_grads=True)
        if not y.requires_grad:
            return pattern
        for start in range(0, n, CHUNK):
            # One product serves all rows, which are independent.
            V = torch.eye(n, dtype=x.dtype, device=x.device)[start : start + CHUNK]
            products = _products(y, x, V.reshape(-1, *[1] * (x.dim() - 1), n).expand(-1, *x.shape)) != 0
            pattern[start : start + CHUNK] = products.reshape(len(V), -1, n).any(1).cpu().numpy()
    return pattern


def _products(y: Tensor, x: Tensor, V: Tensor) -> Tensor:
    """v^T J for each row v; one after the other where an operation of f cannot be batched."""

    def pulled(v: Tensor, batched: bool) -> Tensor:
        (product,) = torch.autograd.grad(y, x, v, retain_graph=True, is_grads_batched=batched, materialize_grads=True)
        return product

    try:
        return pulled(V, batched=True)
    except RuntimeError:
        return torch.stack([pulled(v, batched=False) for v in V])
