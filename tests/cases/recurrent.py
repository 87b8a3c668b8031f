"""Recurrent layers and cells, which are fused kernels, and loops of f's own."""

from __future__ import annotations

import torch
from torch import nn

from tests.cases.case import DIVERGENCE, LAPLACIAN, case, normal


@case(DIVERGENCE, "GRU over the coordinates", "pytorch#134606", n=4, layer=lambda: nn.GRU(2, 2, batch_first=True))
def gru(x, c, layer):
    return layer((c * x).unflatten(-1, (2, 2)))[0].flatten(-2)


@case(LAPLACIAN, "LSTM over the coordinates", "pytorch#105311", n=4, layer=lambda: nn.LSTM(2, 2, batch_first=True))
def lstm(x, c, layer):
    return layer((c * x).unflatten(-1, (2, 2)))[0].square().sum((-1, -2))


@case(
    LAPLACIAN,
    "cells of GRU and RNN",
    "pytorch#144850",
    gated=lambda: nn.GRUCell(2, 2),
    plain=lambda: nn.RNNCell(2, 2),
)
def recurrent_cells(x, c, gated, plain):
    h = gated(x[..., :2] * c[:2], x[..., 2:])
    return (plain(h, h) * h).sum(-1)


@case(DIVERGENCE, "a cell of LSTM with both its states", "pytorch#112459", cell=lambda: nn.LSTMCell(2, 2))
def lstm_cell(x, c, cell):
    return torch.cat(cell(x[..., :2] * c[:2], (x[..., 2:], x[..., :2])), -1)


@case(DIVERGENCE, "the map of a flow: three steps of Runge and Kutta in f", n=3, weight=normal(3, 3))
def flow_map(x, c, weight):
    def velocity(z):
        return torch.tanh(z @ weight * c)

    z, h = x, 0.2
    for _ in range(3):
        k1 = velocity(z)
        k2 = velocity(z + h / 2 * k1)
        k3 = velocity(z + h / 2 * k2)
        k4 = velocity(z + h * k3)
        z = z + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return z
