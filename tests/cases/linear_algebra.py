"""Determinants, solutions and inverses of matrices that depend on x."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tests.cases.case import DIAGONAL, DIVERGENCE, LAPLACIAN, Sample, case, enter, normal


def eye(n: int) -> Tensor:
    return torch.eye(n, dtype=torch.float64)


def near_diagonal(x: Tensor, c: Tensor, offset: Tensor) -> Tensor:
    """Matrices (..., n, n) that are not symmetric, and well conditioned."""
    return torch.diag_embed(c + 1) + 0.3 * torch.tanh(x.unsqueeze(-1) * x.unsqueeze(-2) + offset)


def symmetric(x: Tensor, c: Tensor) -> Tensor:
    """Positive definite matrices (..., n, n)."""
    return torch.diag_embed(c + 2) + 0.5 * torch.sin(x.unsqueeze(-1) + x.unsqueeze(-2))


def lower(x: Tensor, c: Tensor) -> Tensor:
    """Lower triangular matrices (..., 2, 2) of three numbers."""
    a, b, d = (c * x).unbind(-1)
    return torch.stack((a.exp(), torch.zeros_like(a), b, d.exp()), -1).unflatten(-1, (2, 2))


def laplacian_of_squared_det(x: Tensor, c: Tensor) -> Tensor:
    """2 c |cof A|^2: an entry is in a term of det A once at most, so that only (d det / dA_ij)^2 is left."""
    A = eye(3) + x.unflatten(-1, (3, 3))
    cofactors = torch.linalg.det(A)[:, None, None] * torch.linalg.inv(A).mT
    return 2 * c * cofactors.square().sum((-1, -2))


def squared_det(x: Tensor) -> Sample:
    """c det(I + X)^2 of the nine entries of X."""
    c, one = nn.Parameter(torch.tensor(1.0).double()), eye(3)

    def f(x: Tensor) -> Tensor:
        return c * torch.linalg.det(one + x.unflatten(-1, (3, 3))) ** 2

    return Sample(f, x, (c,))


@enter(
    LAPLACIAN,
    "second derivatives of det by torch.func divide by differences of singular values, which are 0",
    "pytorch#192521",
    laplacian_of_squared_det,
)
def det_of_equal_singular_values() -> Sample:
    x = torch.zeros(3, 9).double()
    x[1] = 1e-9 * torch.randn(9)
    x[2] = 0.3 * torch.randn(9)
    return squared_det(x)


@enter(
    LAPLACIAN,
    "singular values that differ by 1e-4 to 1e-13: what torch.func gives is finite and wrong",
    "pytorch#192521",
    laplacian_of_squared_det,
)
def det_of_close_singular_values() -> Sample:
    x = torch.zeros(4, 9).double()
    x[:, 4] = torch.tensor([1e-4, 1e-7, 1e-10, 1e-13]).double()
    x[:, 8] = 1.0
    return squared_det(x)


@enter(
    LAPLACIAN,
    "forward mode over det is wrong at matrices with nothing special about them",
    "pytorch#192540",
    laplacian_of_squared_det,
)
def det_of_any_matrix() -> Sample:
    return squared_det(0.3 * torch.randn(3, 9).double())


@case(LAPLACIAN, "a batch of determinants within a point", "pytorch#192521", n=8)
def det_of_blocks(x, c):
    A = (c * x).unflatten(-1, (2, 2, 2))
    det = torch.linalg.det(A)
    return det.square().sum(-1) + (A * det[..., None, None]).square().sum((-1, -2, -3))


@case(DIVERGENCE, "the gradient of a divergence with det in it is a third derivative of det", "pytorch#192540")
def field_with_det(x, c):
    A = (c * x).unflatten(-1, (2, 2)) + 2 * eye(2)
    return torch.sin(x) * torch.linalg.det(A).unsqueeze(-1)


@case(LAPLACIAN, "log |det| of orbitals, as wave functions have it", "pytorch#196697", n=6, weight=normal(2, 3))
def slogdet(x, c, weight):
    return torch.linalg.slogdet(torch.sin(c * x).unflatten(-1, (3, 2)) @ weight + 2 * eye(3)).logabsdet


@case(LAPLACIAN, "logdet of a covariance", "pytorch#192540", n=3)
def logdet(x, c):
    return torch.logdet(symmetric(x, c))


@case(LAPLACIAN, "solve under vmap hands on factors with stride 0", "pytorch#198017", n=3, offset=normal(3, 3))
def solve(x, c, offset):
    b = torch.sin(c * x)
    return (b * torch.linalg.solve(near_diagonal(x, c, offset), b)).sum(-1)


@case(LAPLACIAN, "lu_solve with a factor that depends on x", "pytorch#192540", n=3, offset=normal(3, 3))
def lu_solve(x, c, offset):
    b = torch.sin(c * x).unsqueeze(-1)
    return (b * torch.linalg.lu_solve(*torch.linalg.lu_factor(near_diagonal(x, c, offset)), b)).sum((-1, -2))


@case(DIVERGENCE, "a field with an inverse", "pytorch#198017", n=3, offset=normal(3, 3))
def field_with_inverse(x, c, offset):
    return (torch.linalg.inv(near_diagonal(x, c, offset)) @ torch.sin(c * x).unsqueeze(-1)).squeeze(-1)


@case(LAPLACIAN, "a quadratic form of an inverse", "pytorch#198017", n=3, offset=normal(3, 3))
def inverse(x, c, offset):
    b = torch.sin(c * x)
    return torch.einsum("...i,...ij,...j->...", b, torch.linalg.inv(near_diagonal(x, c, offset)), b)


@case(LAPLACIAN, "solve_triangular with a matrix that depends on x", "pytorch#198017", n=3)
def solve_triangular(x, c):
    b = torch.tensor([[1.0, 2.0], [-1.0, 3.0]], dtype=torch.float64)
    return torch.linalg.solve_triangular(lower(x, c), b, upper=False).square().sum((-1, -2))


@case(LAPLACIAN, "positive and negative powers of a matrix", "pytorch#198017")
def matrix_power(x, c):
    A = (c * x).unflatten(-1, (2, 2))
    powers = torch.linalg.matrix_power(A, 3) + torch.linalg.matrix_power(A + 3 * eye(2), -2)
    return powers.sum((-1, -2))


@case(LAPLACIAN, "matrix_exp, whose derivative is one of a matrix of twice the size", "pytorch#198017")
def matrix_exp(x, c):
    return torch.linalg.matrix_exp((c * x).unflatten(-1, (2, 2))).square().sum((-1, -2))


@case(DIVERGENCE, "matrix_exp in a field", "pytorch#198017")
def field_with_matrix_exp(x, c):
    return torch.linalg.matrix_exp((c * x).unflatten(-1, (2, 2))).flatten(-2)


@case(LAPLACIAN, "a trace in a denominator, which fused code got wrong", "pytorch#190855", n=9)
def trace_in_denominator(x, c):
    A = (c * x + 1).unflatten(-1, (3, 3))
    trace = A.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]
    return (1 / (A + trace * eye(3) + 3)).mean((-1, -2))


@case(DIVERGENCE, "products of every form in a field", n=6, weight=normal(3, 3))
def products_of_matrices(x, c, weight):
    p = (c * x).unflatten(-1, (2, 3))
    rows = p.reshape(-1, 2, 3)
    products = torch.einsum("...ij,...kj,jl->...il", p, torch.sin(p), weight) + torch.tensordot(p, weight, dims=1)
    crossed = torch.linalg.cross(p[..., :1, :].expand_as(p), torch.cos(p))
    added = torch.baddbmm(rows, torch.tanh(rows), weight.expand(len(rows), 3, 3), alpha=0.5, beta=2)
    return (products + crossed + added.reshape(p.shape)).flatten(-2)


@case(
    LAPLACIAN, "bilinear has no batching rule; multi_dot for one point", n=6, weight=normal(3, 3), pair=normal(2, 3, 3)
)
def bilinear_forms(x, c, weight, pair):
    a, b = (c * x).unflatten(-1, (2, 3)).unbind(-2)
    p = torch.stack((a, b), -2)
    # multi_dot takes no batch, and a point alone is what vmap shows.
    squares = torch.linalg.multi_dot((p, weight, p.mT)) if p.dim() == 2 else p @ weight @ p.mT
    outer = torch.einsum("...i,...j->...ij", a, b.exp())
    sums = (outer @ weight).tanh().sum((-1, -2)) + squares.sum((-1, -2))
    return nn.functional.bilinear(a, torch.sin(b), pair).square().sum(-1) + sums + torch.linalg.vecdot(a, b) ** 3


@enter((DIVERGENCE, DIAGONAL), "the first derivative of cholesky_inverse is wrong in forward mode", "pytorch#196682")
def field_with_cholesky_inverse() -> Sample:
    return _factor_field(lambda x, L, d: torch.cholesky_inverse(L)[..., [0, 0, 1], [0, 1, 1]])


@enter((DIVERGENCE, DIAGONAL), "cholesky_solve in its factor, in forward mode", "pytorch#196694")
def field_with_cholesky_solve() -> Sample:
    def solved(x: Tensor, L: Tensor, d: Tensor) -> Tensor:
        z = torch.cholesky_solve(x[..., :2].unsqueeze(-1), L).squeeze(-1)
        return torch.cat((z, z.sum(-1, keepdim=True) * d.unsqueeze(-1)), -1)

    return _factor_field(solved)


def _factor_field(field) -> Sample:
    """A field (x, L, d) of a factor with the entries c x, which are positive."""
    x, c = torch.rand(5, 3).double() + 0.5, nn.Parameter(torch.tensor([1.0, 2.0, 3.0]).double())

    def f(x: Tensor) -> Tensor:
        a, b, d = (c * x).unbind(-1)
        return field(x, torch.stack((a, torch.zeros_like(a), b, d), -1).unflatten(-1, (2, 2)), d)

    return Sample(f, x, (c,))


@case(LAPLACIAN, "cholesky_inverse in a scalar", "pytorch#196682", n=3)
def cholesky_inverse(x, c):
    return torch.cholesky_inverse(lower(x, c)).sum((-1, -2))


@case(LAPLACIAN, "cholesky_solve by a factor that is computed", "pytorch#196694", n=3)
def cholesky_solve(x, c):
    b = torch.sin(c * x).unsqueeze(-1)
    return (b * torch.cholesky_solve(b, torch.linalg.cholesky(symmetric(x, c)))).sum((-1, -2))


@case(DIVERGENCE, "whitening by a Cholesky factor", "pytorch#196694", n=3)
def whitened(x, c):
    L = torch.linalg.cholesky(symmetric(x, c))
    return torch.linalg.solve_triangular(L, (c * x).unsqueeze(-1), upper=False).squeeze(-1)


@case(LAPLACIAN, "log-density of a Gaussian whose covariance depends on x", "pytorch#196694", n=3)
def gaussian_log_density(x, c):
    L = torch.linalg.cholesky(symmetric(x, c))
    z = torch.linalg.solve_triangular(L, (c * x).unsqueeze(-1), upper=False).squeeze(-1)
    return -0.5 * z.square().sum(-1) - L.diagonal(dim1=-2, dim2=-1).log().sum(-1)
