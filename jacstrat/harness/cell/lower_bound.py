"""The lower bound of a cell: bare matrix products that its best-known algorithm comes down to, as work to be timed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from jacstrat.graphs import Work, captured
from jacstrat.harness.cell.setup import CellSetup
from jacstrat.problems.best import MatrixProduct, best_products

# Rows of both factors that one product takes: on a CPU they stay in the cache, as a tiled algorithm would have them.
CPU_BLOCK_BYTES, ACCELERATOR_BLOCK_BYTES = 2**20, 2**26


@dataclass(frozen=True)
class LowerBound:
    """What no algorithm of this kind goes below.

    Fields:
        flops: Of the best-known algorithm at all points.
        bytes: Of the points, the weights and the result, each moved once, in the dtype of the points.
        work: Its matrix products and nothing else, in the dtype and on the device of the points, as it is timed.
        replayed: The same as a graph of the device, for strategies that are graphs: their products have no launches to
            wait for, and those of eager ones are no bound of theirs. None where no strategy is one.
    """

    flops: int
    bytes: int
    work: Work
    replayed: Work | None = None


def lower_bound_of(setup: CellSetup) -> LowerBound | None:
    """Of a problem that is a network; None for others, and for training, whose way back it does not have."""
    x, widths_at = setup.instance.x, setup.instance.problem.widths
    if widths_at is None or setup.train:
        return None
    widths = widths_at(x.shape[-1])
    products = best_products(setup.operator, widths)
    if not products:
        return None
    flops = sum(product.flops(_points(x)) for product in products)
    moved = x.itemsize * _numbers(setup, widths)
    return LowerBound(flops, moved, setup.timed(bare(products, x)))


def with_replay(bound: LowerBound, device: torch.device) -> LowerBound:
    """The bound with its work as a graph, too.

    Raises:
        Exception: It cannot be captured.
    """
    return replace(bound, replayed=captured(bound.work, device))


def _numbers(setup: CellSetup, widths: Sequence[int]) -> int:
    """Points, matrices of weights, and a trace for each point: of a scalar for each of its outputs."""
    outputs = widths[-1] if setup.operator.is_second else 1
    weights = sum(before * after for before, after in pairwise(widths))
    return _points(setup.instance.x) * (widths[0] + outputs) + weights


def bare(products: tuple[MatrixProduct, ...], x: Tensor) -> Work:
    """The products as calls of torch.mm on numbers of their own, of x's dtype and device, into results made before.

    The rows of all points go through in blocks, the same memory for each.
    """
    generator = torch.Generator(x.device).manual_seed(0)

    def numbers(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, dtype=x.dtype, device=x.device)

    block_bytes = CPU_BLOCK_BYTES if x.device.type == "cpu" else ACCELERATOR_BLOCK_BYTES
    calls = []
    for product in products:
        rows = product.rows * _points(x)
        most = max(block_bytes // ((product.inner + product.columns) * x.itemsize), 1)
        left, right = numbers(min(rows, most), product.inner), numbers(product.inner, product.columns)
        out = left.new_empty(len(left), product.columns)
        full, rest = divmod(rows, most)
        calls += [(left, right, out)] * full
        calls += [(left[:rest], right, out[:rest])] * bool(rest)

    def work() -> None:
        for left, right, out in calls:
            torch.mm(left, right, out=out)

    return work


def _points(x: Tensor) -> int:
    return x.shape[:-1].numel()
