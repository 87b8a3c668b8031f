"""Points at which a formula is smooth and the rules of its parts are not: zeros, origins and ties."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from tests.cases.case import DIVERGENCE, LAPLACIAN, case, constant

CENTRE = [0.3, -0.2, 0.5]
# Rows with no zero, with zeros, and of zeros alone.
POWERS_AT = [[0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 2.0], [0.1, 0.2, 0.3, 0.4]]
ZEROS_AT = [[0.0, 0.5, 0.0], [0.1, 0.2, 0.3]]
FACTORS_AT = [[1.0, 2.0, 3.0, 4.0], [0.0, 2.0, 3.0, 4.0], [1.0, 0.0, 3.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
TIES_AT = [[0.0, 0.0, 0.0], [0.0, 1.0, 1.0], [-0.0, -1.0, 1.0]]


def laplacian_of_gaussian(x: Tensor, c: Tensor) -> Tensor:
    """Of exp(-c r^2) in three dimensions: (4 c^2 r^2 - 6 c) exp(-c r^2)."""
    squares = (x - torch.tensor(CENTRE).double()).square().sum(-1)
    return (4 * c**2 * squares - 6 * c) * torch.exp(-c * squares)


def laplacian_of_sinc(x: Tensor, c: Tensor) -> Tensor:
    """Of sinc(c x), the sum of a second derivative that is -1/3 + y^2/10 near y = pi c x = 0."""
    y = math.pi * c * x
    near = y.abs() < 1e-3
    z = torch.where(near, torch.ones_like(y), y)
    second = torch.where(near, -1 / 3 + y**2 / 10, -z.sin() / z - 2 * z.cos() / z**2 + 2 * z.sin() / z**3)
    return ((math.pi * c) ** 2 * second).sum(-1)


@case(
    LAPLACIAN,
    "a Gaussian by a norm, at its centre: torch's second derivative of a norm at 0 is a convention",
    "pytorch#92075",
    laplacian_of_gaussian,
    at=[CENTRE, [0.4, 0.1, 0.2]],
    scales=1,
    centre=constant(CENTRE),
)
def norm_at_zero(x, c, centre):
    d = torch.linalg.norm(x - centre, dim=-1)
    return torch.exp(-c[0] * d * d)


@case(LAPLACIAN, "cdist of points with themselves", "pytorch#92075", "differences", n=4, scales=1)
def gaussians_by_cdist(x, c):
    p = x.unflatten(-1, (2, 2))
    return torch.exp(-c[0] * torch.cdist(p, p).square()).sum((-1, -2))


@case(LAPLACIAN, "norms of pairs, where a point is a pair with itself", "pytorch#2421", "differences", n=4, scales=1)
def pair_distances(x, c):
    p = x.unflatten(-1, (2, 2))
    return torch.exp(-c[0] * (p.unsqueeze(-2) - p.unsqueeze(-3)).norm(dim=-1)).sum((-1, -2))


@case(DIVERGENCE, "forces between pairs, where a point is a pair with itself", "pytorch#2421", n=4, scales=1)
def pair_forces(x, c):
    p = x.unflatten(-1, (2, 2))
    d = p.unsqueeze(-2) - p.unsqueeze(-3)
    return (d * torch.exp(-c[0] * d.norm(dim=-1, keepdim=True))).sum(-2).flatten(-2)


def distance_or_zero(squares: Tensor) -> Tensor:
    """A square root behind where, whose derivative is 0 times infinity in reverse mode."""
    return torch.where(squares > 0, squares.sqrt(), torch.zeros_like(squares))


@case(LAPLACIAN, "a square root behind where: nan by reverse mode", "jax#6636", "differences", n=4, scales=1)
def root_behind_where(x, c):
    p = x.unflatten(-1, (2, 2))
    squares = (p.unsqueeze(-2) - p.unsqueeze(-3)).square().sum(-1)
    return torch.exp(-c[0] * distance_or_zero(squares)).sum((-1, -2))


@case(DIVERGENCE, "forces with a square root behind where", "jax#6636", "differences", n=4, scales=1)
def forces_behind_where(x, c):
    p = x.unflatten(-1, (2, 2))
    d = p.unsqueeze(-2) - p.unsqueeze(-3)
    r = distance_or_zero(d.square().sum(-1, keepdim=True))
    return (d * torch.exp(-c[0] * r)).sum(-2).flatten(-2)


@case(LAPLACIAN, "the second derivative of sinc at 0 is -pi^2 / 3", "pytorch#196703", laplacian_of_sinc, at=ZEROS_AT)
def sinc_at_zero(x, c):
    return torch.sinc(c * x).sum(-1)


@case(DIVERGENCE, "sinc in a field at 0: its divergence has a second derivative in c", "pytorch#56760", at=ZEROS_AT)
def sinc_field_at_zero(x, c):
    return torch.sinc(c * x) * x.sum(-1, keepdim=True)


@case(LAPLACIAN, "x ** [1, 2, 3, 4] with a tensor of exponents, at 0", "pytorch#89757", at=POWERS_AT)
def powers_by_tensor_at_zero(x, c):
    exponents = torch.tensor([1, 2, 3, 4])
    return (c * x**exponents).sum(-1) + (c * torch.pow(x, exponents)).prod(-1)


@case(LAPLACIAN, "x ** 0, x ** 1, ... at 0", "pytorch#95180", at=POWERS_AT)
def powers_by_number_at_zero(x, c):
    powers = x**0 + x**1 + x**2.0 + x**3 + x**4
    return (c * powers).sum(-1) + torch.float_power(x, 2).sum(-1)


@case(DIVERGENCE, "powers from 0 to 3 in a field, at 0", "pytorch#89757", at=POWERS_AT)
def powers_field_at_zero(x, c):
    exponents = torch.tensor([0, 1, 2, 3], dtype=torch.float64)
    return c * x**exponents + x**1 * x.sum(-1, keepdim=True) ** 2


@case(LAPLACIAN, "exponents that are learned", "pytorch#27134", at=[[0.5, 0.2, 0.1, 1.0], [0.1, 0.2, 0.3, 0.4]])
def learned_powers(x, c):
    return (x.abs() ** (c + 2)).sum(-1)


@case(LAPLACIAN, "angles and radii off the origin", "pytorch#98276")
def polar(x, c):
    a, b, d, e = (c * x).unbind(-1)
    return torch.atan2(a, b) * torch.hypot(d, e) + torch.angle(torch.complex(a, b)) * a


@case(
    LAPLACIAN,
    "a polynomial in polar form, c (a^2 + b^2) + a^2 - b^2, at the origin, where plain autograd gives nan",
    "pytorch#98276",
    lambda x, c: 4 * c.expand(len(x)),
    at=[[0.0, 0.0], [0.1, 0.2]],
    scales=1,
)
def polar_at_origin(x, c):
    a, b = x.unbind(-1)
    return torch.hypot(a, b) ** 2 * (c[0] + torch.cos(2 * torch.atan2(b, a)))


@case(LAPLACIAN, "entropies", "pytorch#80770", at=[[0.6, 0.9, 0.2], [0.3, 0.7, 0.5], [1.0, 0.15, 0.4]])
def entropies(x, c):
    return (c * torch.xlogy(x, x) + torch.special.entr(x) + torch.special.xlog1py(x, x)).sum(-1)


@case(DIVERGENCE, "xlogy(x, 2) at x = 0: log 2", "pytorch#80770", at=ZEROS_AT)
def xlogy_at_zero(x, c):
    return c * torch.xlogy(x, 2.0 + 0 * c)


@case(LAPLACIAN, "cumprod with factors that are 0", "pytorch#196701", at=FACTORS_AT)
def cumprod_with_zeros(x, c):
    return (torch.cumprod(c * x, -1) * torch.arange(1.0, 5.0, dtype=x.dtype)).sum(-1).square()


@case(
    LAPLACIAN,
    "one number a point, and a factor that is 0 at the second of three: the first and the last say nothing",
    "pytorch#196701",
    at=[[0.3], [1.0], [0.7]],
)
def cumprod_with_a_zero_in_the_middle(x, c):
    t = x[..., 0]
    z = torch.stack((t, t + 1, 2 - t, t - 1, 2 * t + 1, t + 3), -1).unflatten(-1, (2, 3))
    return c[0] * (torch.cumprod(z, -1) * torch.arange(1.0, 7.0, dtype=x.dtype).view(2, 3)).sum((-1, -2))


@case(LAPLACIAN, "prod with one, two and four factors that are 0", "pytorch#773", at=FACTORS_AT)
def prod_with_zeros(x, c):
    y = c * x / 2
    return torch.prod(y, -1) + y.unflatten(-1, (2, 2)).prod(-1).exp().sum(-1)


@case(DIVERGENCE, "prod with zeros in a field", "pytorch#773", at=FACTORS_AT)
def prod_field_with_zeros(x, c):
    return x * torch.prod(c * x / 2, -1, keepdim=True)


def kinks(x: Tensor, c: Tensor) -> Tensor:
    """Functions with a kink, all of them at 0 or where two coordinates are the same."""
    return (
        torch.maximum(x, torch.zeros_like(x))
        + torch.clamp(x, min=0) * 2
        + functional.relu(x) * 3
        + x.abs() * 5
        + functional.relu6(x)
        + functional.hardtanh(x, 0.0, 1.0)
        + functional.leaky_relu(x)
        + functional.elu(x)
        + torch.sign(x)
        + c * torch.where(x > 0, x, 2 * x)
        + x.amax(-1, keepdim=True)
        + x.max(-1, keepdim=True).values
        + torch.minimum(x, -x)
    )


@case(DIVERGENCE, "what torch takes for a derivative at a kink", "pytorch#184572", "autograd alone", at=TIES_AT)
def ties_field(x, c):
    return kinks(x, c)


@case(LAPLACIAN, "squares of functions at their kinks", "pytorch#184572", "autograd alone", at=TIES_AT)
def ties(x, c):
    return ((kinks(x, c) + 1) ** 2).sum(-1)
