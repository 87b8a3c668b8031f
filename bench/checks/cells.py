"""The cells: networks as problems of their own, with the batch that each is measured at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import sqrt

import numpy as np
import torch

from jacstrat.harness.plan.cases import Cell
from jacstrat.harness.plan.precision import DTYPES
from jacstrat.problems.base import Instance, Problem

from . import functions

THREADS = 2
PRECISIONS = ("float32", "float64")
CPU = "cpu"
LayerWeights = dict[str, np.ndarray]


@dataclass(frozen=True)
class CellNetwork:
    """One network at one batch.

    Fields:
        problem: The function, with its weights and widths.
        n, batch: Coordinates of a point, and points.
        precisions: In which it is measured.
        operator: Of the network.
    """

    problem: Problem
    n: int
    batch: int
    precisions: tuple[str, ...] = PRECISIONS
    operator: str = "laplacian"

    @property
    def name(self) -> str:
        return f"{self.problem.name} n={self.n} B={self.batch}"

    @property
    def attribute(self) -> str:
        """The name that another process finds the problem under in this module."""
        return f"{self.problem.name}_n{self.n}".replace("-", "_")

    @property
    def spec(self) -> str:
        """The problem by module and attribute, as `jacstrat run -p` takes it."""
        return f"{__name__}:{self.attribute}"

    def cell(self, dtype: str, strategies: Sequence[str], device: str = CPU) -> Cell:
        """The cell of the harness."""
        shape = (self.problem.name, self.operator, self.n, self.batch)
        return Cell(*shape, dtype, device, "evaluate", THREADS, 0, tuple(strategies))

    def instance(self, dtype: str, device: str = CPU) -> Instance:
        return self.problem.instance(self.n, self.batch, DTYPES[dtype], device)


def _layers(widths: Sequence[int], rng: np.random.Generator) -> LayerWeights:
    """W_l (h_l, h_{l-1}) and b_l (h_l,), normal with variance 1/h_{l-1}."""
    layers = {}
    for number, (fan_in, fan_out) in enumerate(pairwise(widths), start=1):
        layers[f"W{number}"] = rng.standard_normal((fan_out, fan_in)) / sqrt(fan_in)
        layers[f"b{number}"] = rng.standard_normal(fan_out) / sqrt(fan_in)
    return layers


def _problem(
    name: str,
    function: Callable[..., torch.Tensor],
    parameters: Callable[[int, np.random.Generator], LayerWeights],
    diagonal: Callable[..., np.ndarray] | None = None,
    widths: tuple[int, ...] | None = None,
    kind: str = "scalar",
) -> Problem:
    return Problem(
        name=name,
        kind="field" if kind == "field" else "scalar",
        formula=name,
        answer="a dense autograd matrix in float64" if diagonal is None else "diag(W_L D_{L-1} ... D_1 W_1)",
        function=function,
        diagonal=diagonal,
        structure="dense",
        parameters=parameters,
        widths=None if widths is None else lambda n: widths,
    )


def tanh(n: int, hidden: tuple[int, ...], batch: int) -> CellNetwork:
    """n -> hidden -> 1."""
    widths = (n, *hidden, 1)
    same = len(set(hidden)) == 1
    name = f"tanh-{n}-" + (f"{hidden[0]}x{len(hidden)}" if same else "-".join(map(str, hidden)))
    problem = _problem(name, functions.tanh, lambda _, rng: _layers(widths, rng), widths=widths)
    return CellNetwork(problem, n, batch)


def field(n: int, hidden: tuple[int, ...], batch: int) -> CellNetwork:
    """n -> hidden -> n."""
    widths = (n, *hidden, n)
    name = f"field{len(hidden)}-" + "-".join(map(str, hidden))
    problem = _problem(
        name, functions.tanh_field, lambda _, rng: _layers(widths, rng), _field_diagonal, widths, kind="field"
    )
    return CellNetwork(problem, n, batch, operator="divergence")


def _field_diagonal(x: np.ndarray, **layers: np.ndarray) -> np.ndarray:
    # J_ii = sum_j W_L,ij d_j T_ji, T what is right of W_L. In float64: in longdouble n = 4096 takes minutes.
    W = {name: value.astype(np.float64) for name, value in layers.items()}
    depth = len(W) // 2

    def point(x: np.ndarray) -> np.ndarray:
        a, T = x, None
        for number in range(1, depth):
            V = W[f"W{number}"]
            a = np.tanh(V @ a + W[f"b{number}"])
            T = (1 - a * a)[:, None] * (V if T is None else V @ T)
        return np.einsum("ij,ji->i", W[f"W{depth}"], T)

    return np.apply_along_axis(point, -1, x.astype(np.float64)).astype(x.dtype)


def residual(n: int = 64, width: int = 128, blocks: int = 3, batch: int = 128) -> CellNetwork:
    """GELU and LayerNorm in residual blocks."""

    def weights(_: int, rng: np.random.Generator) -> LayerWeights:
        layers = {"W_in": rng.standard_normal((width, n)) / sqrt(n), "b_in": rng.standard_normal(width) / sqrt(n)}
        for block in range(1, blocks + 1):
            layers[f"scale{block}"] = rng.uniform(0.5, 1.5, width)
            layers[f"shift{block}"] = rng.uniform(-0.5, 0.5, width)
            for letter in "UV":
                layers[f"{letter}{block}"] = rng.standard_normal((width, width)) / sqrt(width)
            layers[f"b{block}"] = rng.standard_normal(width) / sqrt(width)
        return layers | {"out": rng.standard_normal(width) / sqrt(width)}

    return CellNetwork(_problem(f"gelu-layernorm-{n}-{width}x{blocks}", functions.residual, weights), n, batch)


def attention(features: int = 4, width: int = 32, batch: int = 64) -> CellNetwork:
    """One head over 16 tokens."""
    tokens = functions.TOKENS

    def weights(_: int, rng: np.random.Generator) -> LayerWeights:
        layers = {name: rng.standard_normal((width, width)) / sqrt(width) for name in ("W_query", "W_key", "W_value")}
        return {
            "W_in": rng.standard_normal((width, features)) / sqrt(features),
            "position": rng.standard_normal((tokens, width)) / 2,
            **layers,
            "W_hidden": rng.standard_normal((2 * width, width)) / sqrt(width),
            "b_hidden": rng.standard_normal(2 * width) / sqrt(width),
            "out": rng.standard_normal(2 * width) / sqrt(2 * width * tokens),
        }

    name = f"attention-{tokens}x{features}-{width}"
    return CellNetwork(_problem(name, functions.attention, weights), tokens * features, batch)


LAPLACIANS = (
    tanh(3, (32,) * 4, 4096),
    tanh(10, (64,) * 3, 256),
    tanh(50, (256,) * 4, 128),
    tanh(200, (64,) * 4, 64),
    tanh(1000, (128,) * 3, 32),
    tanh(50, (768, 768, 512, 512), 16),
    residual(),
    attention(),
)
SIZES = (16, 64, 256, 1024, 4096)
DIVERGENCES = tuple(field(n, hidden, 64) for hidden in ((256,), (256, 256)) for n in SIZES)
BILAPLACIANS = (replace(tanh(5, (768, 768, 512, 512), 16), operator="bilaplacian"),)

# Batches that fill a card; float64 where wavefunctions and PINNs have it, since ten minutes are not enough for all.
SINGLE = ("float32",)
CARD_LAPLACIANS = (
    replace(tanh(3, (32,) * 4, 65536), precisions=SINGLE),
    tanh(10, (64,) * 3, 4096),
    tanh(50, (256,) * 4, 2048),
    tanh(200, (64,) * 4, 2048),
    replace(tanh(1000, (128,) * 3, 512), precisions=SINGLE),
    replace(tanh(50, (768, 768, 512, 512), 512), precisions=SINGLE),
    replace(residual(batch=2048), precisions=SINGLE),
    replace(attention(batch=2048), precisions=SINGLE),
)
CARD_DIVERGENCES = tuple(
    replace(field(n, hidden, 512), precisions=SINGLE) for hidden in ((256,), (256, 256)) for n in (64, 256, 1024)
)
CARD_BILAPLACIANS = (replace(BILAPLACIANS[0], batch=256, precisions=SINGLE),)

# What --quick and the tests take.
SMALL_LAPLACIANS = (tanh(5, (8,) * 2, 4), residual(4, 8, 1, 3))
SMALL_DIVERGENCES = tuple(field(n, hidden, 4) for hidden in ((8,), (8, 8)) for n in (64, 128))
SMALL_BILAPLACIANS = (replace(tanh(3, (8,) * 2, 4), operator="bilaplacian"),)


def tables() -> tuple[tuple[CellNetwork, ...], ...]:
    """All tables of this module."""
    return tuple(value for name, value in globals().items() if name.endswith(("LAPLACIANS", "DIVERGENCES")))


def __getattr__(name: str) -> Problem:
    """The problem of a network by its attribute: for processes that know no more than its spec."""
    for one in (one for table in tables() for one in table):
        if one.attribute == name:
            return one.problem
    raise AttributeError(f"module {__name__} has no attribute {name}")
