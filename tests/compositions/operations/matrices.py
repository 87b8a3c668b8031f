"""Products of matrices, and factorisations of small ones that are well conditioned."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tests.compositions.operations.table import Draw, Event, numbers, operation
from tests.compositions.operations.views import small


def square(draw: Draw, event: Event) -> dict[str, Any]:
    """A parameter (k, k), where a row has numbers enough for a matrix of as many."""
    k = 3 if draw.chance(0.4) and numbers(9)(event) else 2
    return {"offset": draw.parameter(k, k, size=0.3)}


def weight(draw: Draw, event: Event) -> dict[str, Any]:
    """A matrix from the last axis to one to six numbers."""
    return {"weight": draw.matrix(event[-1], draw.whole(1, 6))}


def near_identity(y: Tensor, offset: Tensor) -> Tensor:
    """Well-conditioned matrices (B, k, k): the identity and something small that depends on y."""
    k = len(offset)
    z = y.flatten(1)[:, : k * k].unflatten(1, (k, k))
    return torch.eye(k, dtype=y.dtype) * 1.5 + 0.3 * torch.tanh(z + offset)


def positive_definite(y: Tensor, offset: Tensor) -> Tensor:
    """A A^T + I, (B, k, k)."""
    A = near_identity(y, offset)
    return A @ A.mT + torch.eye(len(offset), dtype=y.dtype)


four = numbers(4)


@operation(weight)
def matmul(y: Tensor, weight: Tensor) -> Tensor:
    return y @ weight


@operation(weight)
def einsum(y: Tensor, weight: Tensor) -> Tensor:
    return torch.einsum("...i,ij->...j", y.sin(), weight)


@operation(lambda draw, event: {"weight": draw.parameter(event[-1], 2, event[-1], size=0.5)})
def quadratic_form(y: Tensor, weight: Tensor) -> Tensor:
    return torch.einsum("...i,ikj,...j->...k", y, weight, y)


@operation(lambda draw, event: {"weight": draw.matrix(event[-1], event[-1])})
def tensordot(y: Tensor, weight: Tensor) -> Tensor:
    return torch.tensordot(y, weight, dims=([-1], [1])) + y


@operation(
    lambda draw, event: {"weight": draw.matrix(event[-1], 3), "bias": draw.parameter(3)}, lambda event: len(event) == 1
)
def addmm(y: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.addmm(bias, y, weight, beta=0.5)


@operation(lambda draw, event: {"weight": draw.parameter(event[-1])})
def matrix_vector(y: Tensor, weight: Tensor) -> Tensor:
    return y.tanh() * torch.matmul(y, weight).unsqueeze(-1)


@operation(lambda draw, event: {}, lambda event: len(event) == 2)
def bmm(y: Tensor) -> Tensor:
    return torch.bmm(y, y.tanh().transpose(1, 2))


@operation(lambda draw, event: {"weight": draw.parameter(2, 3)}, lambda event: len(event) == 2)
def baddbmm(y: Tensor, weight: Tensor) -> Tensor:
    A = y[:, :, :1].expand(-1, -1, 2)
    return torch.baddbmm(y[:, :, -1:].sin(), A, weight.expand(y.shape[0], 2, 3), alpha=0.5)


@operation(lambda draw, event: {}, lambda event: len(event) == 1 and 1 < event[0] <= 6)
def outer(y: Tensor) -> Tensor:
    return y.unsqueeze(-1) * y.unsqueeze(-2)


@operation(lambda draw, event: {"other": draw.parameter(2, 1)}, lambda event: len(event) == 2 and small(event))
def kron(y: Tensor, other: Tensor) -> Tensor:
    # Strides of axes of length 1 are of no account to `contiguous`, but to kron's view.
    return torch.kron(y.clone(memory_format=torch.contiguous_format), other)


@operation(lambda draw, event: {"points": draw.parameter(3, event[-1])})
def cdist(y: Tensor, points: Tensor) -> Tensor:
    return torch.cdist(y.reshape(y.shape[0], -1, y.shape[-1]), points + 2).flatten(1)


@operation(square, four)
def solve(y: Tensor, offset: Tensor) -> Tensor:
    return torch.linalg.solve(near_identity(y, offset), y.flatten(1)[:, : len(offset), None]).squeeze(-1)


@operation(square, four)
def solve_right(y: Tensor, offset: Tensor) -> Tensor:
    """Against parameters on the right, (k, k) for all points."""
    # Not expanded they were vectors of points where there are k points.
    return torch.linalg.solve(near_identity(y, offset), offset.sin().expand(y.shape[0], -1, -1))


@operation(square, four)
def solve_by_parameters(y: Tensor, offset: Tensor) -> Tensor:
    """One matrix for all points, which is a parameter."""
    k = len(offset)
    return torch.linalg.solve(torch.eye(k, dtype=y.dtype) * 2 + offset.tanh(), y.flatten(1)[:, :k, None]).squeeze(-1)


@operation(square, four)
def inv(y: Tensor, offset: Tensor) -> Tensor:
    return torch.linalg.inv(near_identity(y, offset))


@operation(square, four)
def det(y: Tensor, offset: Tensor) -> Tensor:
    return torch.linalg.det(near_identity(y, offset)).unsqueeze(-1)


@operation(square, four)
def slogdet(y: Tensor, offset: Tensor) -> Tensor:
    return torch.linalg.slogdet(near_identity(y, offset)).logabsdet[:, None] * y.flatten(1).cos()


@operation(square, four)
def logdet(y: Tensor, offset: Tensor) -> Tensor:
    return y.flatten(1) * torch.logdet(positive_definite(y, offset)).unsqueeze(-1)


@operation(square, four)
def cholesky(y: Tensor, offset: Tensor) -> Tensor:
    return torch.linalg.cholesky(positive_definite(y, offset))


@operation(square, four)
def cholesky_solve(y: Tensor, offset: Tensor) -> Tensor:
    L = torch.linalg.cholesky(positive_definite(y, offset))
    return torch.cholesky_solve(y.flatten(1)[:, : len(offset), None], L).squeeze(-1)


@operation(square, four)
def cholesky_inverse(y: Tensor, offset: Tensor) -> Tensor:
    return torch.cholesky_inverse(torch.linalg.cholesky(positive_definite(y, offset)))


@operation(square, four)
def solve_triangular(y: Tensor, offset: Tensor) -> Tensor:
    A = near_identity(y, offset).tril()
    return torch.linalg.solve_triangular(A, y.flatten(1)[:, : len(offset), None], upper=False).squeeze(-1)


@operation(square, four)
def qr(y: Tensor, offset: Tensor) -> Tensor:
    Q, R = torch.linalg.qr(near_identity(y, offset))
    return Q @ R.sin()


@operation(square, four)
def lu_solve(y: Tensor, offset: Tensor) -> Tensor:
    LU, pivots = torch.linalg.lu_factor(near_identity(y, offset))
    return torch.linalg.lu_solve(LU, pivots, y.flatten(1)[:, : len(offset), None].cos()).squeeze(-1)


@operation(square, four)
def matrix_exp(y: Tensor, offset: Tensor) -> Tensor:
    return torch.linalg.matrix_exp(0.5 * near_identity(y, offset))


@operation(square, four)
def matrix_power(y: Tensor, offset: Tensor) -> Tensor:
    return torch.linalg.matrix_power(0.5 * near_identity(y, offset), 3)


@operation(square, four)
def eigvalsh(y: Tensor, offset: Tensor) -> Tensor:
    """Eigenvalues that are far apart."""
    A = near_identity(y, offset)
    return torch.linalg.eigvalsh((A + A.mT) / 2 + torch.diag(torch.arange(len(offset), dtype=y.dtype) * 3))


@operation(square, four)
def eigh(y: Tensor, offset: Tensor) -> Tensor:
    """A function of a matrix by its spectrum, as whitening has it; no sign of an eigenvector matters."""
    A = near_identity(y, offset)
    values, V = torch.linalg.eigh((A + A.mT) / 2 + torch.diag(torch.arange(len(offset), dtype=y.dtype) * 3))
    return (V * values.sin().unsqueeze(-2)) @ V.mT


@operation(square, four)
def svdvals(y: Tensor, offset: Tensor) -> Tensor:
    return torch.linalg.svdvals(near_identity(y, offset) @ torch.diag(torch.arange(len(offset), dtype=y.dtype) + 1))


@operation(square, four)
def pinv(y: Tensor, offset: Tensor) -> Tensor:
    return torch.linalg.pinv(near_identity(y, offset)[..., :-1])


@operation(square, four)
def frobenius(y: Tensor, offset: Tensor) -> Tensor:
    return y.flatten(1).sin() * torch.linalg.matrix_norm(near_identity(y, offset))[:, None]
