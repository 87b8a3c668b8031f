"""The reference of any operator of any function: full rows of its Jacobian, or Hessian, by plain autograd."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from jacstrat.core.operator import Operator, is_weight_function, parse_operator
from jacstrat.problems.reference import Reference, dtype_name, wide


class Terms(NamedTuple):
    """The terms of a trace, (..., K), and the size of each where it is a sum itself."""

    values: Tensor
    sizes: Tensor | None


def dense_reference(
    f: Callable[..., Tensor], x: Tensor, operator: str | Operator, args: tuple[Any, ...] = ()
) -> Reference:
    """The terms of the operator from a dense Jacobian, or Hessian, by torch.autograd, row by row.

    In float64 where f and the device take it; else, as when f holds weights of another dtype, in the dtype of x.
    Memory is that of one row at all points, (B, n), beside the graph of f.

    Args:
        f: Row-wise, called as f(x, *args); of real or complex numbers.
        x: Points, (B, n).
        operator: With any coordinates and weight, but for the "own" of a problem.
        args: Floating-point tensors among them are taken in the dtype of x.

    Cost: a product for each coordinate, and for the bilaplacian for each pair of them.
    """
    operator = parse_operator(operator)
    try:
        dtype = torch.float64
        terms = _terms(f, x.detach().to(dtype, copy=True), operator, args)
    except (RuntimeError, TypeError):
        dtype = x.dtype
        terms = _terms(f, x.detach().clone(), operator, args)
    sizes = None if terms.sizes is None else wide(terms.sizes)
    return Reference(wide(terms.values), f"dense autograd in {dtype_name(dtype)}", dtype, size=sizes)


def _terms(f: Callable[..., Tensor], x: Tensor, operator: Operator, args: tuple[Any, ...]) -> Terms:
    args = tuple(
        one.detach().to(x.dtype) if isinstance(one, Tensor) and one.is_floating_point() else one for one in args
    )
    n = x.shape[-1]
    S = list(operator.coordinates or range(n))
    A = None if operator.weight is None else _weight(operator.weight, x, args)
    with torch.enable_grad():
        x.requires_grad_()
        y = f(x, *args)
        parts = [_of_real(part, x, operator, S, A) for part in ((y.real, y.imag) if y.is_complex() else (y,))]
    if len(parts) == 1:
        return parts[0]
    (real, real_size), (imaginary, imaginary_size) = parts
    sizes = None if real_size is None or imaginary_size is None else real_size + imaginary_size
    return Terms(torch.complex(real, imaginary), sizes)


def _of_real(y: Tensor, x: Tensor, operator: Operator, S: list[int], A: Tensor | None) -> Terms:
    """The terms of real f(x); those of each output of a scalar along the axis before the last."""
    if operator.kind == "field":
        # The outputs that belong to the coordinates: by their number, or in order where there are none but theirs.
        places = range(len(S)) if y.shape[-1] == len(S) < x.shape[-1] else S
        return _contracted((y[..., index] for index in places), x, S, A)
    outputs = y.unbind(-1) if y.dim() == x.dim() else (y,)
    of = _twice if operator.order == 4 else _of_hessian
    terms_of_outputs = [of(output, x, S, A) for output in outputs]
    if y.dim() < x.dim():
        return terms_of_outputs[0]
    sizes = [terms.sizes for terms in terms_of_outputs if terms.sizes is not None]
    return Terms(
        torch.stack([terms.values for terms in terms_of_outputs], -2), torch.stack(sizes, -2) if sizes else None
    )


def _of_hessian(u: Tensor, x: Tensor, S: list[int], A: Tensor | None) -> Terms:
    g = _gradient(u, x, create_graph=True)
    return _contracted((g[..., i] for i in S), x, S, A)


def _contracted(entries: Iterator[Tensor], x: Tensor, S: Sequence[int], A: Tensor | None) -> Terms:
    """(J A)_jj, J the rows that are the gradients of the entries j in S: sum_i A_ij J_ji over S."""
    lead = x.shape[:-1]
    is_full = A is not None and A.dim() == x.dim() + 1
    values, sizes = x.new_zeros(*lead, len(S)), x.new_zeros(*lead, len(S) if is_full else 0)
    for k, (j, entry) in enumerate(zip(S, entries, strict=True)):
        row = _gradient(entry, x)
        if A is not None and is_full:
            products = A[..., S, j] * row[..., S]
            values[..., k], sizes[..., k] = products.sum(-1), products.abs().sum(-1)
        else:
            values[..., k] = row[..., j] if A is None else A[..., j] * row[..., j]
    return Terms(values, sizes if is_full else None)


def _twice(u: Tensor, x: Tensor, S: Sequence[int], A: Tensor | None) -> Terms:
    """sum_i d_i d_i d_j d_j u, j in S, i over S."""
    g = _gradient(u, x, create_graph=True)
    values, sizes = (x.new_zeros(*x.shape[:-1], len(S)) for _ in range(2))
    for k, j in enumerate(S):
        h = _gradient(g[..., j], x, create_graph=True)[..., j]
        third = _gradient(h, x, create_graph=True)
        for i in S:
            fourth = _gradient(third[..., i], x)[..., i]
            values[..., k] += fourth
            sizes[..., k] += fourth.abs()
    return Terms(values, sizes)


def _gradient(y: Tensor, x: Tensor, create_graph: bool = False) -> Tensor:
    """dy/dx of each row; 0 where y does not depend on x."""
    if not y.requires_grad:
        return torch.zeros_like(x)
    (g,) = torch.autograd.grad(y.sum(), x, retain_graph=True, create_graph=create_graph, materialize_grads=True)
    return g if create_graph else g.detach()


def _weight(weight: Any, x: Tensor, args: tuple[Any, ...]) -> Tensor:
    """A at each point, (..., n) for a diagonal, else (..., n, n)."""
    lead, n = x.shape[:-1], x.shape[-1]
    is_function = is_weight_function(weight)
    A = weight(x.detach(), *args) if is_function else weight
    A = (A if isinstance(A, Tensor) else torch.as_tensor(A, device="cpu")).detach().to(x)
    if not is_function and A.shape == (n, n):
        return A.expand(*lead, n, n)
    return A.expand(*lead, *A.shape[-1:]) if A.dim() <= len(lead) + 1 else A.expand(*lead, n, n)
