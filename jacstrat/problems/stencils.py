"""Fields on a ring, a line, a grid or a graph, whose Jacobians are sparse; shifts run over the coordinates."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv1d, pad

from jacstrat.problems.base import Problem, at_least, uniform

VISCOSITY = 0.01
CHANNELS = 8


def _lorenz96(x: Tensor) -> Tensor:
    return (x.roll(-1, -1) - x.roll(2, -1)) * x.roll(1, -1) - x + 8


def _lorenz96_diagonal(x: np.ndarray) -> np.ndarray:
    # For n >= 4 the neighbours i+1, i-1, i-2 all differ from i, so that -x_i alone is left.
    return np.full_like(x, -1)


def _bratu(x: Tensor) -> Tensor:
    padded = pad(x, (1, 1))
    return padded[..., 2:] - 2 * x + padded[..., :-2] + torch.exp(x)


def _bratu_diagonal(x: np.ndarray) -> np.ndarray:
    return np.exp(x) - 2


def _burgers(x: Tensor) -> Tensor:
    after, before = x.roll(-1, -1), x.roll(1, -1)
    return -x * (after - before) / 2 + VISCOSITY * (after - 2 * x + before)


def _burgers_diagonal(x: np.ndarray) -> np.ndarray:
    return (np.roll(x, 1, -1) - np.roll(x, -1, -1)) / 2 - 2 * VISCOSITY


def _bratu_2d(x: Tensor) -> Tensor:
    m = math.isqrt(x.shape[-1])
    u = x.unflatten(-1, (m, m))
    padded = pad(u, (1, 1, 1, 1))
    rows = padded[..., 2:, 1:-1] + padded[..., :-2, 1:-1]
    columns = padded[..., 1:-1, 2:] + padded[..., 1:-1, :-2]
    return (rows + columns - 4 * u + torch.exp(u)).flatten(-2)


def _bratu_2d_diagonal(x: np.ndarray) -> np.ndarray:
    return np.exp(x) - 4


def _square(n: int) -> str | None:
    return None if math.isqrt(n) ** 2 == n else "n must be a square, m^2"


def _graph_diffusion(x: Tensor, k: Tensor) -> Tensor:
    n = x.shape[-1]
    node = torch.arange(n, device=x.device)
    # Node n - 1 is its own double: no edge.
    source, target = torch.cat((node, node[:-1])), torch.cat(((node + 1) % n, (2 * node[:-1] + 1) % n))
    flux = k * torch.tanh(x.index_select(-1, target) - x.index_select(-1, source))
    return torch.zeros_like(x).index_add(-1, source, flux).index_add(-1, target, -flux)


def _graph_diffusion_diagonal(x: np.ndarray, k: np.ndarray) -> np.ndarray:
    # An edge's flux k tanh(x_t - x_s) comes into F_s and leaves F_t: -k tanh' to both J_ss and J_tt.
    n = x.shape[-1]
    node = np.arange(n)
    source, target = np.append(node, node[:-1]), np.append((node + 1) % n, (2 * node[:-1] + 1) % n)
    slope = k / np.cosh(x[..., target] - x[..., source]) ** 2
    J = np.zeros_like(x)
    np.subtract.at(J.T, source, slope.T)
    np.subtract.at(J.T, target, slope.T)
    return J


def _conductivities(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """One of order one an edge: n along the ring, n - 1 to the double."""
    return {"k": rng.uniform(0.5, 1.5, 2 * n - 1)}


def _convolution(x: Tensor, A: Tensor, b: Tensor, C: Tensor, e: Tensor) -> Tensor:
    return _around(torch.tanh(_around(x.unsqueeze(-2), A, b)), C, e).squeeze(-2)


def _around(x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    """The convolution of (..., channels, n) with a kernel of 3, around the ring."""
    return conv1d(torch.cat((x[..., -1:], x, x[..., :1]), -1), kernel, bias)


def _convolution_diagonal(x: np.ndarray, A: np.ndarray, b: np.ndarray, C: np.ndarray, e: np.ndarray) -> np.ndarray:
    # z_cm = b_c + sum_k A_ck x_{m+k-1} and F_i = e + sum_cl C_cl tanh z_{c,i+l-1}: x_i comes back to i by k = 2 - l.
    A, C, b = A[:, 0], C[0], b[:, None]
    x = x[..., None, :]
    z = b + A[:, :1] * np.roll(x, 1, -1) + A[:, 1:2] * x + A[:, 2:] * np.roll(x, -1, -1)
    slope = 1 / np.cosh(z) ** 2
    J = A[:, 1:2] * C[:, 1:2] * slope
    J = J + A[:, 2:] * C[:, :1] * np.roll(slope, 1, -1)
    J = J + A[:, :1] * C[:, 2:] * np.roll(slope, -1, -1)
    return J.sum(-2)


def _kernels(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Kernels (out, in, 3) and biases (out,), normal with variance 1/(3 in)."""
    first, second = np.sqrt(3), np.sqrt(3 * CHANNELS)
    return {
        "A": rng.standard_normal((CHANNELS, 1, 3)) / first,
        "b": rng.standard_normal(CHANNELS) / first,
        "C": rng.standard_normal((1, CHANNELS, 3)) / second,
        "e": rng.standard_normal(1) / second,
    }


STENCILS = (
    Problem(
        name="lorenz96",
        kind="field",
        formula="F_i = (x_{i+1} - x_{i-2}) x_{i-1} - x_i + 8, periodic",
        answer="-n",
        function=_lorenz96,
        diagonal=_lorenz96_diagonal,
        structure="banded",
        points=uniform(-4.0, 8.0),
        domain="[-4, 8)^n",
        origin="Lorenz 1996, Predictability: a problem partly solved; the rate at which volumes contract",
        refuse=at_least(4),
        sizes=(4, 8, 16, 32, 64, 256, 1024, 4096),
    ),
    Problem(
        name="bratu",
        kind="field",
        formula="F_i = x_{i+1} - 2 x_i + x_{i-1} + exp x_i, x_0 = x_{n+1} = 0",
        answer="sum (exp x_i - 2)",
        function=_bratu,
        diagonal=_bratu_diagonal,
        structure="tridiagonal",
        origin="Bratu 1914, Sur les équations intégrales non linéaires; on a grid of unit spacing",
        sizes=(1, 2, 4, 8, 16, 32, 64, 256, 1024, 4096),
    ),
    Problem(
        name="burgers",
        kind="field",
        formula="F_i = -x_i (x_{i+1} - x_{i-1})/2 + nu (x_{i+1} - 2 x_i + x_{i-1}), periodic, nu = 0.01",
        answer="-2 n nu: the differences cancel around the ring",
        function=_burgers,
        diagonal=_burgers_diagonal,
        structure="banded",
        origin="Burgers 1948, A mathematical model illustrating the theory of turbulence; on a grid of unit spacing",
        refuse=at_least(3),
        sizes=(4, 8, 16, 32, 64, 256, 1024, 4096),
    ),
    Problem(
        name="bratu_2d",
        kind="field",
        formula="F = the five-point sum of the neighbours - 4 x_i + exp x_i on an m by m grid, n = m^2, 0 outside",
        answer="sum (exp x_i - 4)",
        function=_bratu_2d,
        diagonal=_bratu_2d_diagonal,
        structure="sparse",
        origin="Gelfand 1963, Some problems in the theory of quasilinear equations; on a grid of unit spacing",
        refuse=_square,
        sizes=(1, 4, 16, 64, 256, 1024, 4096),
    ),
    Problem(
        name="graph_diffusion",
        kind="field",
        formula="F_s += k_e tanh(x_t - x_s), F_t -= the same, over edges e = (s, t): s to s + 1 and to 2 s + 1, mod n",
        answer="-2 sum k_e tanh'(x_t - x_s)",
        function=_graph_diffusion,
        diagonal=_graph_diffusion_diagonal,
        structure="sparse",
        parameters=_conductivities,
        points=uniform(-2.0, 2.0),
        domain="[-2, 2)^n",
        origin="Perona, Malik 1990, Scale-space and edge detection using anisotropic diffusion; here on a graph, where "
        "Chamberlain et al. 2021, GRAND, learn it. The fluxes balance: the ones vector gives 0",
        refuse=at_least(3),
        sizes=(4, 8, 16, 32, 64, 256, 1024, 4096),
    ),
    Problem(
        name="convolution",
        kind="field",
        formula="F(x) = C * tanh(A * x + b) + e, circular, kernels of 3, channels 1 to 8 to 1",
        answer="sum over i, c and l of C_cl A_{c,2-l} tanh'(z_{c,i+l-1}), z = A * x + b",
        function=_convolution,
        diagonal=_convolution_diagonal,
        structure="banded",
        parameters=_kernels,
        origin="a convolutional field, as in Karami et al. 2019, Invertible convolutional flow",
        refuse=at_least(3),
        sizes=(4, 8, 16, 32, 64, 256, 1024, 4096),
    ),
)
