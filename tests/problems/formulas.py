"""Every problem's function once more, in mpmath from its formula, to check the hand-derived diagonals against."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import combinations, pairwise
from typing import Any

import numpy as np
from mpmath import mp, mpf

from jacstrat.problems.equations import VISCOSITY
from jacstrat.problems.wavefunctions import EPSILON, SOFT

Vector = Sequence[Any]


def exact(value: Any) -> mpf:
    """A float64 or longdouble as an mpf, exactly: two doubles hold every digit of a longdouble."""
    high = float(value)
    return mpf(high) + mpf(float(value - np.longdouble(high)))


def product(A: Sequence[Vector], x: Vector) -> list[Any]:
    return [mp.fsum(a * b for a, b in zip(row, x, strict=True)) for row in A]


def square(x: Vector) -> Any:
    return mp.fsum(a * a for a in x)


def pi() -> mpf:
    """The double that the functions multiply by, not the number."""
    return mpf(math.pi)


def ring(term: Callable[..., Any], x: Vector, *shifts: int) -> list[Any]:
    n = len(x)
    return [term(*(x[(i + shift) % n] for shift in shifts)) for i in range(n)]


def bratu(x: Vector) -> list[Any]:
    padded = [0, *x, 0]
    return [padded[i + 2] - 2 * a + padded[i] + mp.exp(a) for i, a in enumerate(x)]


def bratu_2d(x: Vector) -> list[Any]:
    m = math.isqrt(len(x))
    grid = {(i, j): x[i * m + j] for i in range(m) for j in range(m)}

    def around(i: int, j: int) -> Any:
        return sum(grid.get(place, 0) for place in ((i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)))

    return [around(i, j) - 4 * a + mp.exp(a) for (i, j), a in grid.items()]


def graph_diffusion(x: Vector, k: Vector) -> list[Any]:
    n = len(x)
    edges = [(s, (s + 1) % n) for s in range(n)] + [(s, (2 * s + 1) % n) for s in range(n - 1)]
    F = [mpf(0)] * n
    for conductivity, (s, t) in zip(k, edges, strict=True):
        flux = conductivity * mp.tanh(x[t] - x[s])
        F[s], F[t] = F[s] + flux, F[t] - flux
    return F


def convolution(x: Vector, A: Any, b: Vector, C: Any, e: Vector) -> list[Any]:
    hidden = [
        [mp.tanh(z + bias) for z in ring(lambda *a, k=kernel[0]: mp.fdot(k, a), x, -1, 0, 1)]
        for kernel, bias in zip(A, b, strict=True)
    ]
    parts = [ring(lambda *a, k=kernel: mp.fdot(k, a), h, -1, 0, 1) for kernel, h in zip(C[0], hidden, strict=True)]
    return [e[0] + mp.fsum(column) for column in zip(*parts, strict=True)]


def affine(W: Sequence[Vector], x: Vector, b: Vector) -> list[Any]:
    return [s + c for s, c in zip(product(W, x), b, strict=True)]


def network(x: Vector, hidden: int, weights: dict[str, Any], activation: Callable[[Any], Any] = mp.tanh) -> list[Any]:
    for number in range(1, hidden + 1):
        x = [activation(z) for z in affine(weights[f"W{number}"], x, weights[f"b{number}"])]
    return affine(weights[f"W{hidden + 1}"], x, weights[f"b{hidden + 1}"])


def flow(x: Vector, t: Any, **weights: Any) -> list[Any]:
    for number in (1, 2, 3):
        W, b, g, c, d = (weights[f"{letter}{number}"] for letter in "Wbgcd")
        gates = [1 / (1 + mp.exp(-(slope * t + shift))) for slope, shift in zip(g, c, strict=True)]
        z = [s * gate + drift * t for s, gate, drift in zip(affine(W, x, b), gates, d, strict=True)]
        x = z if number == 3 else [mp.tanh(a) for a in z]
    return x


def score(x: Vector, activation: Callable[[Any], Any], weights: dict[str, Any]) -> list[Any]:
    h = affine(weights["W_in"], x, weights["b_in"])
    for block in (1, 2):
        inner = [activation(z) for z in affine(weights[f"U{block}"], h, weights[f"b{block}"])]
        h = affine(weights[f"V{block}"], inner, h)
    return affine(weights["W_out"], h, weights["b_out"])


def places(x: Vector) -> list[Vector]:
    return [x[i : i + 3] for i in range(0, len(x), 3)]


def minus(a: Vector, b: Vector) -> list[Any]:
    return [p - q for p, q in zip(a, b, strict=True)]


def lennard_jones(x: Vector) -> Any:
    r = [mp.sqrt(square(minus(a, b))) for a, b in combinations(places(x), 2)]
    return mp.fsum(4 * (1 / d**12 - 1 / d**6) for d in r)


def wavefunction(x: Vector, **w: Any) -> Any:
    electrons = places(x)

    def soft(d: Vector) -> Any:
        return mp.sqrt(square(d) + mpf(SOFT**2))

    def features(i: int) -> list[Any]:
        own = affine(w["W_one"], [soft(minus(electrons[i], R)) for R in w["nuclei"]], w["b_one"])
        for other in electrons:
            d = minus(electrons[i], other)
            pair = affine(w["W_pair"], [*d, soft(d)], w["b_pair"])
            own = [a + mp.tanh(z) / len(electrons) for a, z in zip(own, pair, strict=True)]
        return own

    def normalised(h: Vector) -> list[Any]:
        mean = mp.fsum(h) / len(h)
        size = mp.sqrt(square([a - mean for a in h]) / len(h) + mpf(EPSILON))
        return [(a - mean) / size * s + t for a, s, t in zip(h, w["scale"], w["shift"], strict=True)]

    rows = [features(i) for i in range(len(electrons))]
    inputs = [normalised(h) for h in rows]
    keys, values = [product(w["W_key"], h) for h in inputs], [product(w["W_value"], h) for h in inputs]

    def orbitals(i: int) -> list[Any]:
        query = product(w["W_query"], inputs[i])
        weights = softmax([mp.fdot(query, key) / mp.sqrt(len(key)) for key in keys])
        h = [a + mp.fdot(weights, v) for a, v in zip(rows[i], zip(*values, strict=True), strict=True)]
        decays = [mp.exp(-k * soft(minus(electrons[i], R))) for k, R in zip(w["decay"], w["nuclei"], strict=True)]
        return [a * e for a, e in zip(affine(w["W_orbital"], h, w["b_orbital"]), decays, strict=True)]

    determinant = mp.det(mp.matrix([orbitals(i) for i in range(len(electrons))]))
    distances = [soft(minus(a, b)) for a in electrons for b in electrons]
    return mp.log(abs(determinant)) - mp.fsum(w["cusp"] ** 2 / (w["cusp"] + d) for d in distances) / 8


def softmax(x: Vector) -> list[Any]:
    total = mp.fsum(mp.exp(a) for a in x)
    return [mp.exp(a) / total for a in x]


def rosenbrock(x: Vector) -> Any:
    return mp.fsum(100 * (b - a**2) ** 2 + (1 - a) ** 2 for a, b in pairwise(x))


def two_body(x: Vector, c: Vector) -> Any:
    terms = zip(c, x, x[1:], strict=False)
    return (1 - square(x)) * mp.fsum(k * mp.sin(a + mp.cos(b) + b * mp.cos(a)) for k, a, b in terms)


def three_body(x: Vector, c: Vector) -> Any:
    terms = zip(c, x, x[1:], x[2:], strict=False)
    return (1 - square(x)) * mp.fsum(k * mp.exp(a * b * d) for k, a, b, d in terms)


def lorenz96(x: Vector) -> list[Any]:
    return ring(lambda a, after, before, second: (after - second) * before - a + 8, x, 0, 1, -1, -2)


def burgers(x: Vector) -> list[Any]:
    nu = mpf(0.01)
    return ring(
        lambda a, after, before: -a * (after - before) / 2 + nu * (after - 2 * a + before),
        x,
        0,
        1,
        -1,
    )


def waves(x: Vector, W: Any, b: Vector, c: Vector) -> Any:
    return mp.fdot(c, [mp.sin(z) for z in affine(W, x, b)])


def poisson(x: Vector, W1: Any, b1: Vector, W2: Any) -> list[Any]:
    a = 1 + square(x) / (2 * len(x))
    slopes = [w / mp.cosh(z) ** 2 for w, z in zip(W2[0], affine(W1, x, b1), strict=True)]
    return [a * mp.fdot(slopes, column) for column in zip(*W1, strict=True)]


def taylor_green(x: Vector) -> list[Any]:
    a, b, t = x
    F = mp.exp(-2 * mpf(VISCOSITY) * t)
    pressure = -(mp.cos(2 * a) + mp.cos(2 * b)) * F * F / 4
    return [mp.cos(a) * mp.sin(b) * F, -mp.sin(a) * mp.cos(b) * F, pressure]


def korteweg_de_vries(x: Vector, speed: Any) -> list[Any]:
    def u(a: Any) -> Any:
        return speed / 2 * mp.sech(mp.sqrt(speed) / 2 * (a - speed * x[1])) ** 2

    # u_xx = c u - 3 u^2, which the function finds by differentiation.
    return [3 * u(x[0]) ** 2 + speed * u(x[0]) - 3 * u(x[0]) ** 2, u(x[0])]


def log_psi(x: Vector, charge: Any, decay: Any) -> Any:
    def length(d: Vector) -> Any:
        return mp.sqrt(square(d))

    pairs = [length(minus(a, b)) for a, b in combinations(places(x), 2)]
    return mp.fsum(d / (2 + 2 * decay * d) for d in pairs) - charge * mp.fsum(map(length, places(x)))


FORMULAS: dict[str, Callable[..., Any]] = {
    "sin": lambda x: [mp.sin(a) for a in x],
    "sin_sum": lambda x: mp.fsum(mp.sin(a) for a in x),
    "seed_product": lambda x: (x[0] + x[1]) * (x[1] + 3),
    "squared_norm": square,
    "seed_coupled": lambda x, A: [a * b for a, b in zip(product(A, x), x, strict=True)],
    "linear": lambda x, A: product(A, x),
    "softmax": softmax,
    "cubic": lambda x: [a * square(x) for a in x],
    "lorenz96": lorenz96,
    "bratu": bratu,
    "burgers": burgers,
    "bratu_2d": bratu_2d,
    "graph_diffusion": graph_diffusion,
    "convolution": convolution,
    "sine_product": lambda x: mp.fprod(mp.sin(pi() * a) for a in x),
    "cosine_sum": lambda x: mp.fsum(mp.cos(pi() * a) for a in x),
    "bilinear": lambda x: mp.fsum(a * b for a, b in zip(x[0::2], x[1::2], strict=True)),
    "log_quadratic": lambda x: mp.log((1 + square(x)) / 2),
    "gaussian": lambda x: mp.exp(-square(x) / (2 * len(x))),
    "logsumexp": lambda x: mp.log(mp.fsum(mp.exp(a) for a in x)),
    "quadratic": lambda x, A: mp.fsum(a * b for a, b in zip(product(A, x), x, strict=True)),
    "rosenbrock": rosenbrock,
    "exponential": lambda x: mp.exp(-mp.sqrt(square(x))),
    "inverse_distance": lambda x: 1 / mp.sqrt(square(x)),
    "two_body": two_body,
    "three_body": three_body,
    "lennard_jones": lennard_jones,
    "tanh_field": lambda x, **weights: network(x, 2, weights),
    "tanh_scalar": lambda x, **weights: network(x, 3, weights)[0],
    "tanh_outputs": lambda x, **weights: network(x, 3, weights),
    "decaying": lambda x, A: mp.fsum(a * b for a, b in zip(product(A, x), x, strict=True)) / 2,
    "pinn_tanh": lambda x, **weights: (1 - square(x)) * network(x, 3, weights)[0],
    "pinn_sine": lambda x, **weights: (1 - square(x)) * network(x, 2, weights, mp.sin)[0],
    "plane_waves": waves,
    "heat": waves,
    "plate": waves,
    "fokker_planck": lambda x: mp.exp(-square(x) / (2 * len(x))),
    "poisson": poisson,
    "taylor_green": taylor_green,
    "korteweg_de_vries": korteweg_de_vries,
    "flow": flow,
    "conditional_flow": lambda x, t, **weights: flow(x, t[0], **weights),
    "score_gelu": lambda x, **weights: score(x, lambda z: z * (1 + mp.erf(z / mp.sqrt(2))) / 2, weights),
    "score_silu": lambda x, **weights: score(x, lambda z: z / (1 + mp.exp(-z)), weights),
    "wavefunction": wavefunction,
    "log_psi": log_psi,
}
