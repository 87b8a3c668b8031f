"""What `compiled(taylor)` makes of each network: how many kernels and products, and how many bytes these go over."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from jacstrat.strategies import parse_strategy

from .cells import LAPLACIANS, SMALL_LAPLACIANS, THREADS, CellNetwork

STRATEGY = "compiled(taylor)"
_PRODUCT = re.compile(r"extern_kernels\.\w*mm\(")
_KERNEL = re.compile(r"async_compile\.cpp_pybinding\((.*?)'''\)", re.DOTALL)


@dataclass(frozen=True)
class PassCounts:
    """Of one program.

    Fields:
        tiles: In how many parts the points are done, each by the program.
        kernels: Functions that the compiler wrote.
        products: Calls of a library for products of matrices.
        bytes: Read and written by all of them, as the compiler counts: once for each buffer that a kernel goes over.
    """

    tiles: int
    kernels: int
    products: int
    bytes: int


def passes(network: CellNetwork, dtype: str) -> PassCounts:
    """Compile for the points of a cell, and count."""
    from torch._inductor import config
    from torch._inductor.utils import run_and_get_code

    instance = network.instance(dtype)
    torch.set_num_threads(THREADS)
    with torch.no_grad(), config.patch(fx_graph_cache=False), _lowered() as moved:
        strategy = parse_strategy(STRATEGY)
        prepared, codes = run_and_get_code(lambda: strategy.prepare(network.operator, instance.f, instance.x))
    parts = prepared.contraction.parts
    tiles = len(parts(instance.x, ())) if parts else 1
    kernels, products = (sum(len(one.findall(code)) for code in codes) for one in (_KERNEL, _PRODUCT))
    return PassCounts(tiles, kernels, products, sum(moved))


@contextmanager
def _lowered() -> Iterator[list[int]]:
    """The bytes of each graph that the compiler lowers meanwhile, as it counts them: of its kernels and products."""
    from torch._inductor.graph import GraphLowering

    moved: list[int] = []
    original = GraphLowering.compile_to_module

    def compile_to_module(graph: Any) -> Any:
        module = original(graph)
        moved.append(sum(node.get_read_write_buffers_sizes() for node in graph.scheduler.nodes))
        return module

    GraphLowering.compile_to_module = compile_to_module
    try:
        yield moved
    finally:
        GraphLowering.compile_to_module = original


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row of a Markdown table for each cell; of several programs of one cell their sum."""
    parser = argparse.ArgumentParser(description="Count what compiled programs do between their products.")
    parser.add_argument("--cells", nargs="+", default=("",), metavar="TEXT", help="of those whose name contains one")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--quick", action="store_true", help="small networks, to try the script")
    options = parser.parse_args(arguments)
    print("| network | tiles | kernels | products | MB read and written, a tile |\n|---|---|---|---|---|")
    for network in SMALL_LAPLACIANS if options.quick else LAPLACIANS:
        if any(text in network.name for text in options.cells):
            found = passes(network, options.dtype)
            print(
                f"| {network.name} | {found.tiles} | {found.kernels} | {found.products} | {found.bytes / 1e6:.3g} |",
                flush=True,
            )
