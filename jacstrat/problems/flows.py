"""The velocity field of a continuous normalising flow, whose divergence is the rate of change of the log-density."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import linear

from jacstrat.problems.base import Problem
from jacstrat.problems.networks import layer_widths, tanh_slope

LAYERS = 3


def _flow(x: Tensor, t: Tensor, **layers: Tensor) -> Tensor:
    def layer(number: int, a: Tensor) -> Tensor:
        W, b, g, c, d = (layers[f"{letter}{number}"] for letter in "Wbgcd")
        return linear(a, W, b) * torch.sigmoid(g * t + c) + d * t

    for number in range(1, LAYERS):
        x = torch.tanh(layer(number, x))
    return layer(LAYERS, x)


def _flow_diagonal(x: np.ndarray, t: np.ndarray, **layers: np.ndarray) -> np.ndarray:
    # J = S3 W3 D2 S2 W2 D1 S1 W1, S the gates and D the slopes of tanh: T is what is right of W3, (64, n).
    def point(x_t: np.ndarray) -> np.ndarray:
        x, t = x_t[:-1], x_t[-1]
        a, T = x, np.eye(len(x), dtype=x.dtype)
        for number in range(1, LAYERS):
            W, gate = layers[f"W{number}"], _gate(t, layers, number)
            z = gate * (W @ a + layers[f"b{number}"]) + layers[f"d{number}"] * t
            a, T = np.tanh(z), (tanh_slope(z) * gate)[:, None] * (W @ T)
        return _gate(t, layers, LAYERS) * (layers[f"W{LAYERS}"] * T.T).sum(-1)

    # One time for all points, or one for each.
    return np.apply_along_axis(point, -1, np.concatenate((x, np.broadcast_to(t, (*x.shape[:-1], 1))), -1))


def _gate(t: np.ndarray, layers: Mapping[str, np.ndarray], number: int) -> np.ndarray:
    """sigmoid(g t + c)."""
    return 1 / (1 + np.exp(-(layers[f"g{number}"] * t + layers[f"c{number}"])))


def _time_and_layers(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """The time t in [0, 1), and the layers."""
    return {"t": np.array(rng.uniform(0.0, 1.0)), **_gated_layers(n, rng)}


def _times(n: int, batch: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """A time in [0, 1) for each point, (B, 1)."""
    return (rng.uniform(0.0, 1.0, (batch, 1)),)


def _gated_layers(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Of each layer W, b with variance 1/h_{l-1}, and g, c, d with variance 1."""
    parameters: dict[str, np.ndarray] = {}
    for number, (fan_in, fan_out) in enumerate(pairwise(layer_widths(hidden=LAYERS - 1)(n)), start=1):
        parameters[f"W{number}"] = rng.standard_normal((fan_out, fan_in)) / np.sqrt(fan_in)
        parameters[f"b{number}"] = rng.standard_normal(fan_out) / np.sqrt(fan_in)
        for letter in "gcd":
            parameters[f"{letter}{number}"] = rng.standard_normal(fan_out)
    return parameters


FLOWS = (
    Problem(
        name="flow",
        kind="field",
        formula="F(x) = L3 tanh L2 tanh L1 x, L a = (W a + b) sigmoid(g t + c) + d t at a time t, hidden widths 64",
        answer="tr(S3 W3 D2 S2 W2 D1 S1 W1), S the gates sigmoid(g t + c), D the slopes of tanh",
        function=_flow,
        diagonal=_flow_diagonal,
        structure="dense",
        parameters=_time_and_layers,
        widths=layer_widths(hidden=LAYERS - 1),
        origin="Grathwohl, Chen, Bettencourt, Sutskever, Duvenaud 2019, FFJORD: its layers that squash by time",
    ),
    Problem(
        name="conditional_flow",
        kind="field",
        formula="F(x, t) = L3 tanh L2 tanh L1 x, L a = (W a + b) sigmoid(g t + c) + d t, t of each row, "
        "hidden widths 64",
        answer="tr(S3 W3 D2 S2 W2 D1 S1 W1), S the gates sigmoid(g t + c), D the slopes of tanh",
        function=_flow,
        diagonal=_flow_diagonal,
        structure="dense",
        parameters=_gated_layers,
        arguments=_times,
        origin="Lipman, Chen, Ben-Hamu, Nickel, Le 2023, Flow matching: points of one batch at times of their own; the "
        "layers of FFJORD",
    ),
)
