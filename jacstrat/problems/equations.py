"""Terms of partial differential equations: a weight, some of the coordinates, a higher order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import linear

from jacstrat.problems.base import Problem, uniform
from jacstrat.problems.networks import dense_layers, tanh_slope
from jacstrat.problems.pinns import plane_waves, plane_waves_diagonal

WAVES = 16
VISCOSITY = 0.1


def exactly(sizes: int, words: str) -> Callable[[int], str | None]:
    """The rule of a function of so many coordinates."""
    return lambda n: None if n == sizes else f"n must be {sizes}, {words}"


def _waves(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """16 waves: directions W (16, n) with variance 4/n, phases b within pi, amplitudes c with variance 1/16."""
    b, c = rng.uniform(-np.pi, np.pi, WAVES), rng.standard_normal(WAVES) / np.sqrt(WAVES)
    return {"b": b, "c": c, "W": 2 * rng.standard_normal((WAVES, n)) / np.sqrt(n)}


def _conductivity(n: int, rng: np.random.Generator) -> np.ndarray:
    """I + L L^T / n, L normal: symmetric, positive definite, full."""
    L = rng.standard_normal((n, n))
    # A running sum adds in the one order on every machine; a product of matrices need not.
    return np.eye(n) + np.cumsum(L[:, None] * L, -1)[..., -1] / n


def _heat_terms(x: np.ndarray, A: np.ndarray, W: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    # A wave has the Hessian -w w^T c sin: its term is -(w . A w) c sin.
    return -c * np.sin(x @ W.T + b) * ((W @ A) * W).sum(-1)


def _plate_terms(x: np.ndarray, W: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    return c * np.sin(x @ W.T + b) * (W * W).sum(-1) ** 2


def _gaussian(x: Tensor) -> Tensor:
    return torch.exp(-(x * x).sum(-1) / (2 * x.shape[-1]))


def _gaussian_diagonal(x: np.ndarray) -> np.ndarray:
    n = x.shape[-1]
    return np.exp(-(x * x).sum(-1, keepdims=True) / (2 * n)) * (x**2 / n - 1) / n


def _covariance(n: int, rng: np.random.Generator) -> Callable[..., Tensor]:
    """sigma sigma^T of sigma_ij = s_i (delta_ij + 1/n), s_i = 1 + sin(x_i)/2: noise of its own and of all, by place."""

    def at(x: Tensor, *_: Any) -> Tensor:
        s = 1 + torch.sin(x) / 2
        sigma = s.unsqueeze(-1) * (torch.eye(n, dtype=x.dtype, device=x.device) + 1 / n)
        return sigma @ sigma.mT

    return at


def _fokker_planck_terms(x: np.ndarray) -> np.ndarray:
    # sigma sigma^T = s s^T * (I + 3/n 1 1^T), and H = u (x x^T / n - I) / n.
    n = x.shape[-1]
    s = 1 + np.sin(x) / 2
    u = np.exp(-(x * x).sum(-1, keepdims=True) / (2 * n))
    return u * (s**2 * x**2 + 3 * s * x * (s * x).sum(-1, keepdims=True) / n - (n + 3) * s**2) / n**2


def _poisson(x: Tensor, W1: Tensor, b1: Tensor, W2: Tensor) -> Tensor:
    a = 1 + (x * x).mean(-1, keepdim=True) / 2
    z = linear(x, W1, b1)
    return a * linear(W2[0] / torch.cosh(z) ** 2, W1.mT)


def _poisson_diagonal(x: np.ndarray, W1: np.ndarray, b1: np.ndarray, W2: np.ndarray) -> np.ndarray:
    # d/dx_i (a u_i) = a u_ii + a_i u_i, a_i = x_i / n; the slopes of u = W2 tanh(z) are W2 s' W1, and s'' = -2 s s'.
    z = x @ W1.T + b1
    slopes = W2[0] * tanh_slope(z)
    a = 1 + (x * x).sum(-1, keepdims=True) / (2 * x.shape[-1])
    return a * ((-2 * slopes * np.tanh(z)) @ W1**2) + x / x.shape[-1] * (slopes @ W1)


def _one_layer(n: int, rng: np.random.Generator) -> Mapping[str, np.ndarray]:
    layers = dense_layers(hidden=1, outputs=1)(n, rng)
    return {name: layers[name] for name in ("W1", "b1", "W2")}


def _taylor_green(x: Tensor) -> Tensor:
    a, b, t = x.unbind(-1)
    F = torch.exp(-2 * VISCOSITY * t)
    u, v = torch.cos(a) * torch.sin(b) * F, -torch.sin(a) * torch.cos(b) * F
    return torch.stack((u, v, -(torch.cos(2 * a) + torch.cos(2 * b)) * F * F / 4), -1)


def _taylor_green_diagonal(x: np.ndarray) -> np.ndarray:
    # u_x, v_y, p_t.
    a, b, t = x[..., 0], x[..., 1], x[..., 2]
    F = np.exp(-2 * VISCOSITY * t)
    u_x = -np.sin(a) * np.sin(b) * F
    return np.stack((u_x, -u_x, VISCOSITY * (np.cos(2 * a) + np.cos(2 * b)) * F * F), -1)


def _soliton(x: Tensor, speed: Tensor) -> Tensor:
    """c/2 sech^2(sqrt(c)/2 (x - c t))."""
    return speed / (2 * torch.cosh(torch.sqrt(speed) / 2 * (x[..., 0] - speed * x[..., 1])) ** 2)


def _korteweg_de_vries(x: Tensor, speed: Tensor) -> Tensor:
    def slope(x: Tensor) -> Tensor:
        return torch.func.grad(lambda x: _soliton(x, speed).sum())(x)[..., 0]

    u = _soliton(x, speed)
    curvature = torch.func.grad(lambda x: slope(x).sum())(x)[..., 0]
    return torch.stack((3 * u * u + curvature, u), -1)


def _korteweg_de_vries_diagonal(x: np.ndarray, speed: np.ndarray) -> np.ndarray:
    # u = c/2 sech^2 z, z = sqrt(c)/2 (x - c t), has u_xx = c u - 3 u^2, so that u_xxx = (c - 6 u) u_x and
    # 6 u u_x + u_xxx = c u_x; and u_t = -c u_x.
    z = np.sqrt(speed) / 2 * (x[..., 0] - speed * x[..., 1])
    u_x = -speed * np.sqrt(speed) / 2 * np.tanh(z) / np.cosh(z) ** 2
    return np.stack((speed * u_x, -speed * u_x), -1)


EQUATIONS = (
    Problem(
        name="heat",
        kind="scalar",
        formula="u(x) = sum c_j sin(w_j . x + b_j), 16 waves, w_j of length about 2",
        answer="tr(A H) = -sum (w_j . A w_j) c_j sin(w_j . x + b_j), A = I + L L^T/n, L normal",
        function=plane_waves,
        diagonal=plane_waves_diagonal,
        structure="dense",
        parameters=_waves,
        origin="the right-hand side of u_t = div(A grad u): Fourier 1822, in a crystal, which conducts by direction",
        operators=("laplacian:weight=own",),
        weight=_conductivity,
        closed={"laplacian:weight=own": _heat_terms},
    ),
    Problem(
        name="fokker_planck",
        kind="scalar",
        formula="u(x) = exp(-|x|^2 / 2n)",
        answer="tr(sigma sigma^T H) = u (sum s_i^2 x_i^2 + 3/n (sum s_i x_i)^2 - (n + 3) sum s_i^2) / n^2, "
        "sigma_ij = s_i (delta_ij + 1/n), s_i = 1 + sin(x_i)/2",
        function=_gaussian,
        diagonal=_gaussian_diagonal,
        structure="dense",
        points=uniform(-0.6, 0.6),
        domain="[-0.6, 0.6)^n, where no term is near 0",
        origin="twice the second-order term of a diffusion dx = b dt + sigma(x) dw: Risken 1989, The Fokker-Planck "
        "equation",
        operators=("laplacian:weight=own",),
        weight=_covariance,
        closed={"laplacian:weight=own": _fokker_planck_terms},
    ),
    Problem(
        name="poisson",
        kind="field",
        formula="F(x) = a(x) grad u, a = 1 + |x|^2/2n, u = W2 tanh(W1 x + b1), hidden width 64",
        answer="div(a grad u) = a lap u + grad a . grad u",
        function=_poisson,
        diagonal=_poisson_diagonal,
        structure="dense",
        parameters=_one_layer,
        origin="the flux of a Poisson problem -div(a grad u) = f whose a varies, with the gradient of the network "
        "written out",
    ),
    Problem(
        name="taylor_green",
        kind="field",
        formula="F(x, y, t) = (u, v, p): u = cos x sin y F, v = -sin x cos y F, p = -(cos 2x + cos 2y) F^2/4, "
        "F = exp(-2 nu t), nu = 0.1",
        answer="u_x + v_y = 0: terms -sin x sin y F and its negative",
        function=_taylor_green,
        diagonal=_taylor_green_diagonal,
        structure="dense",
        points=uniform(-2.0, 2.0),
        domain="[-2, 2)^3",
        origin="Taylor, Green 1937, Mechanism of the production of small eddies from large ones: solves Navier-Stokes "
        "in two dimensions; the divergence of its velocity, two of three outputs",
        refuse=exactly(3, "x, y and t"),
        sizes=(3,),
        operators=("divergence:coordinates=0+1",),
    ),
    Problem(
        name="plate",
        kind="scalar",
        formula="u(x) = sum c_j sin(w_j . x + b_j), 16 waves, w_j of length about 2",
        answer="bilaplacian sum |w_j|^4 c_j sin(w_j . x + b_j)",
        function=plane_waves,
        diagonal=plane_waves_diagonal,
        structure="dense",
        parameters=_waves,
        origin="bending waves of a Kirchhoff plate, D lap lap u = -rho h u_tt: Kirchhoff 1850",
        operators=("bilaplacian",),
        closed={"bilaplacian": _plate_terms},
        sizes=(1, 2, 4, 8),
    ),
    Problem(
        name="korteweg_de_vries",
        kind="field",
        formula="F(x, t) = (3 u^2 + u_xx, u), u = c/2 sech^2(sqrt c/2 (x - c t)), u_xx by torch.func.grad",
        answer="over x 6 u u_x + u_xxx = c u_x, over both 0",
        function=_korteweg_de_vries,
        diagonal=_korteweg_de_vries_diagonal,
        structure="dense",
        parameters=lambda n, rng: {"speed": np.array(rng.uniform(0.5, 2.0))},
        points=lambda n, batch, rng: rng.uniform((1.0, 0.0), (3.0, 0.25), (batch, 2)),
        domain="[1, 3) x [0, 1/4), beside the crest",
        origin="Korteweg, de Vries 1895, On the change of form of long waves: u_t + 6 u u_x + u_xxx = 0, by its "
        "soliton; the divergence differentiates u three times",
        refuse=exactly(2, "x and t"),
        sizes=(2,),
        operators=("divergence:coordinates=0", "divergence"),
    ),
)
