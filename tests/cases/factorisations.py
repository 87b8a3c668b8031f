"""Spectra and factors of matrices that depend on x."""

from __future__ import annotations

import torch

from tests.cases.case import DIVERGENCE, LAPLACIAN, case, normal
from tests.cases.linear_algebra import eye, symmetric

# Torch's rules of all of these are composed of others, some of which are wrong in some mode.
FAMILY = "pytorch#198017"


def tall(x, c, offset):
    """Matrices (..., 3, 2)."""
    return torch.sin(c * x).unflatten(-1, (3, 2)) + offset


@case(LAPLACIAN, "eigenvectors, by a function that does not see their sign", FAMILY, n=3)
def eigh(x, c):
    values, V = torch.linalg.eigh(symmetric(x, c))
    return values[..., -1] * V[..., 0, -1].square() + values.log().sum(-1)


@case(LAPLACIAN, "nuclear and spectral norm", FAMILY, n=6, offset=normal(2, 3))
def singular_values(x, c, offset):
    A = torch.sin(c * x).unflatten(-1, (2, 3)) + offset
    return torch.linalg.svdvals(A).sum(-1) + torch.linalg.matrix_norm(A, 2)


@case(LAPLACIAN, "both factors of QR", "pytorch#196698", n=6, offset=normal(3, 2))
def qr(x, c, offset):
    Q, R = torch.linalg.qr(tall(x, c, offset))
    return Q[..., 0, 1] * R[..., 0, 1] + R[..., 1, 1].square()


@case(DIVERGENCE, "an orthonormal frame in a field", "pytorch#196698", n=6, offset=normal(3, 2))
def orthonormal_field(x, c, offset):
    return torch.linalg.qr(tall(x, c, offset)).Q.flatten(-2) * x


@case(LAPLACIAN, "the pseudoinverse of tall matrices", FAMILY, n=6, offset=normal(3, 2))
def pinv(x, c, offset):
    return torch.linalg.pinv(tall(x, c, offset)).square().sum((-1, -2))


@case(LAPLACIAN, "least squares, whose rule calls pinv", FAMILY, n=6, offset=normal(3, 2), b=normal(3, 1))
def least_squares(x, c, offset, b):
    A = tall(x, c, offset)
    return torch.linalg.lstsq(A, b.expand(*x.shape[:-1], 3, 1)).solution.square().sum((-1, -2))


@case(LAPLACIAN, "both factors of LU; the pivots are whole numbers", FAMILY)
def lu(x, c):
    _, L, U = torch.linalg.lu((c * x).unflatten(-1, (2, 2)) + 2 * eye(2))
    return L[..., 1, 0].square() + U[..., 0, 1] * U[..., 1, 1]
