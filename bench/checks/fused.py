"""Kernels of `fused` on a card, in one command: are they right, and how long does a call take, by tile and products.

Each spec is prepared, which holds it against a witness, compared with `taylor` or `chain` in float64, and timed as a
caller has it: host time until the device is idle, over blocks of calls. In a graph (`graphed(...)`) the host's part is
one launch. What a spec raises is its row. Cells that the time does not suffice for are told.

With --quick a little of it, on the CPU where $TRITON_INTERPRET is 1: that the script works, and no figure.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from math import sqrt
from pathlib import Path

import torch
from torch import Tensor

from jacstrat import parse_strategy
from jacstrat.core.operator import OPERATORS
from jacstrat.fused.narrow import misfit_of
from jacstrat.fused.spec import padded
from jacstrat.strategies.fused import POINTS

from .deadline import Deadline
from .program import QUICK

LIMIT_S = 450.0
BLOCKS, BLOCK_S = 5, 0.03


@dataclass(frozen=True)
class FusedCell:
    """A tanh network at a batch.

    Fields:
        operator: "laplacian", of widths that end in 1, or "divergence", of those that end as they begin.
        widths: From n to the output.
        batch: Points.
        dtype: "float32", "float64" or "bfloat16".
        is_trained: A call is followed by the gradient of its mean square in all weights.
    """

    operator: str
    widths: tuple[int, ...]
    batch: int
    dtype: str = "float32"
    is_trained: bool = False

    @property
    def name(self) -> str:
        kind = " training" if self.is_trained else ""
        return f"{self.operator} {'-'.join(map(str, self.widths))} B{self.batch} {self.dtype}{kind}"

    @property
    def specs(self) -> tuple[str, ...]:
        """What is measured, the best that there was before it last."""
        other = "taylor" if OPERATORS[self.operator].is_second else "chain"
        if self.is_trained:
            return ("fused", other, f"compiled({other})")
        tiles = () if self.misfit else tuple(f"fused:tile={points}" for points in POINTS)
        products = ("fused:products=ieee", "fused:products=tf32") if self.dtype == "float32" else ()
        return ("fused", *tiles, *products, "graphed(fused)", f"compiled({other})", f"graphed(compiled({other}))")

    @property
    def misfit(self) -> str:
        """Why the network has no tiles."""
        shapes = [(padded(out), padded(width)) for width, out in pairwise(self.widths[1:]) if out > 1]
        return misfit_of(max(self.widths[1:-1]), shapes, {"float64": 8, "float32": 4}.get(self.dtype, 2))

    def function(self, device: str, dtype: torch.dtype) -> tuple[Callable[[Tensor], Tensor], list[Tensor], Tensor]:
        """The network, its weights and the points."""
        generator = torch.Generator().manual_seed(0)
        weights: list[Tensor] = []
        for fan_in, fan_out in pairwise(self.widths):
            shapes = ((fan_out, fan_in), (fan_out,))
            drawn = (torch.randn(shape, generator=generator, dtype=torch.float64) / sqrt(fan_in) for shape in shapes)
            weights += [one.to(device, dtype).requires_grad_(self.is_trained) for one in drawn]
        is_scalar = OPERATORS[self.operator].kind == "scalar"

        def network(x: Tensor) -> Tensor:
            for layer in range(0, len(weights), 2):
                x = torch.nn.functional.linear(x if layer == 0 else x.tanh(), weights[layer], weights[layer + 1])
            return x.squeeze(-1) if is_scalar else x

        x = torch.randn(self.batch, self.widths[0], generator=generator, dtype=torch.float64)
        return network, weights, x.to(device, dtype)


CELLS = (
    FusedCell("laplacian", (10, 64, 64, 64, 1), 4096),
    FusedCell("laplacian", (3, 32, 32, 32, 32, 1), 65536),
    FusedCell("laplacian", (50, 256, 256, 256, 256, 1), 2048),
    FusedCell("laplacian", (200, 64, 64, 64, 64, 1), 2048),
    FusedCell("laplacian", (1000, 128, 128, 128, 1), 512),
    FusedCell("laplacian", (50, 768, 768, 512, 512, 1), 512),
    FusedCell("divergence", (64, 256, 64), 4096),
    FusedCell("divergence", (64, 256, 256, 256, 64), 2048),
    FusedCell("laplacian", (10, 64, 64, 64, 1), 4096, "float64"),
    FusedCell("laplacian", (200, 64, 64, 64, 64, 1), 2048, "float64"),
    FusedCell("laplacian", (50, 256, 256, 256, 256, 1), 2048, "float64"),
    FusedCell("laplacian", (10, 64, 64, 64, 1), 4096, "bfloat16"),
    FusedCell("laplacian", (10, 64, 64, 64, 1), 4096, is_trained=True),
    FusedCell("laplacian", (50, 256, 256, 256, 256, 1), 2048, is_trained=True),
    FusedCell("divergence", (10, 64, 64, 64, 10), 4096, is_trained=True),
)
SMALL = (
    FusedCell("laplacian", (3, 8, 8, 1), 20),
    FusedCell("divergence", (3, 8, 8, 3), 20),
    FusedCell("laplacian", (3, 8, 8, 1), 20, is_trained=True),
)


@dataclass(frozen=True)
class FusedRow:
    """One spec in one cell.

    Fields:
        cell, spec: Their names.
        call_s: Median of the blocks, a call; None where it raised.
        prepare_s: Until the first result.
        error: The largest difference from float64 of the result or of a gradient, relative to the largest number of it.
        reason: What it raised; "".
    """

    cell: str
    spec: str
    call_s: float | None = None
    prepare_s: float | None = None
    error: float | None = None
    reason: str = ""


def rows(cells: Sequence[FusedCell], device: str, limit_s: float, specs: Sequence[str] = ()) -> Iterator[FusedRow]:
    """The rows of the cells, each at these specs or its own, in this process, until the time is over."""
    yield from rows_of([(cell, spec) for cell in cells for spec in specs or cell.specs], device, limit_s)


def rows_of(asked: Sequence[tuple[FusedCell, str]], device: str, limit_s: float) -> Iterator[FusedRow]:
    """A row for each spec in its cell. What raises, also where the truth of a cell is computed, is the row's reason."""
    deadline = Deadline(limit_s)
    truths: dict[FusedCell, tuple[Tensor, ...]] = {}
    for cell, spec in asked:
        if deadline.is_over():
            yield FusedRow(cell.name, spec, reason=f"not reached in {limit_s:.0f} s")
            continue
        try:
            if cell not in truths:
                truths = {cell: _truth(cell, device)}
            yield _row(cell, spec, device, truths[cell])
        except Exception as error:  # of any kind: a card that has not seen these kernels may do anything
            yield FusedRow(cell.name, spec, reason=f"{type(error).__name__}: {' '.join(str(error).split())[:160]}")


def _truth(cell: FusedCell, device: str) -> tuple[Tensor, ...]:
    """The result in float64 and, of a call that is trained, the gradients."""
    network, weights, x = cell.function(device, torch.float64)
    strategy = parse_strategy("taylor" if OPERATORS[cell.operator].is_second else "chain")
    with torch.set_grad_enabled(cell.is_trained):
        return _called(cell, strategy.prepare(cell.operator, network, x), weights, x)


def _called(
    cell: FusedCell, prepared: Callable[[Tensor], Tensor], weights: Sequence[Tensor], x: Tensor
) -> tuple[Tensor, ...]:
    result = prepared(x)
    if not cell.is_trained:
        return (result,)
    gradients = torch.autograd.grad(result.square().mean(), weights, allow_unused=True)
    filled = (torch.zeros_like(w) if g is None else g for g, w in zip(gradients, weights, strict=True))
    return (result.detach(), *filled)


def _error(numbers: Sequence[Tensor], truth: Sequence[Tensor]) -> float:
    """The largest difference, each tensor relative to its largest number."""
    pairs = zip(numbers, truth, strict=True)
    return max(float((one - known).abs().max() / known.abs().max()) for one, known in pairs if bool(known.any()))


def _row(cell: FusedCell, spec: str, device: str, truth: Sequence[Tensor]) -> FusedRow:
    network, weights, x = cell.function(device, getattr(torch, cell.dtype))
    begin = time.perf_counter()
    with torch.set_grad_enabled(cell.is_trained):
        prepared = parse_strategy(spec).prepare(cell.operator, network, x)

        def call() -> tuple[Tensor, ...]:
            return _called(cell, prepared, weights, x)

        numbers = call()
        _synchronize(device)
        prepare_s = time.perf_counter() - begin
        error = _error([one.double() for one in numbers], truth)
        return FusedRow(cell.name, spec, _call_s(call, device), prepare_s, error)


def _call_s(call: Callable[[], object], device: str) -> float:
    """The median over blocks of the time of a call, the device idle before and after each block."""
    call()
    _synchronize(device)
    begin = time.perf_counter()
    call()
    _synchronize(device)
    number = max(1, int(BLOCK_S / max(time.perf_counter() - begin, 1e-6)))
    taken = []
    for _ in range(BLOCKS):
        begin = time.perf_counter()
        for _ in range(number):
            call()
        _synchronize(device)
        taken.append((time.perf_counter() - begin) / number)
    return statistics.median(taken)


def _synchronize(device: str) -> None:
    if device != "cpu":
        torch.accelerator.synchronize()


def table(rows_measured: Sequence[FusedRow]) -> str:
    """The rows as a table of Markdown."""
    lines = ["| cell | spec | us a call | prepare s | error | |", "|---|---|---|---|---|---|"]
    for row in rows_measured:
        numbers = (
            "" if row.call_s is None else f"{row.call_s * 1e6:.4g}",
            "" if row.prepare_s is None else f"{row.prepare_s:.3g}",
            "" if row.error is None else f"{row.error:.1e}",
        )
        lines.append(f"| {row.cell} | `{row.spec}` | {' | '.join(numbers)} | {row.reason.replace('|', '/')} |")
    return "\n".join(lines) + "\n"


def printed(device: str, limit_s: float, quick: bool, out: Path | None) -> list[FusedRow]:
    """All rows, each printed as it comes, and written to fused.json in a directory; of processes of their own."""
    from .fused_apart import rows_apart

    cells, specs = (SMALL, ("fused",)) if quick else (CELLS, ())
    asked = [(cell, spec) for cell in cells for spec in specs or cell.specs]
    measured: list[FusedRow] = []
    try:
        for row in rows_apart(asked, device, limit_s):
            measured.append(row)
            print(table([row]).splitlines()[-1], flush=True)
    finally:
        if out:
            out.mkdir(parents=True, exist_ok=True)
            name = torch.cuda.get_device_name(device) if device.startswith("cuda") else device
            content = {"device": name, "torch": torch.__version__, "rows": [asdict(row) for row in measured]}
            (out / "fused.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return measured


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description="Measure the kernels of the strategy fused on a card.")
    parser.add_argument("--device", default="cuda", help="where to measure")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write fused.json there")
    parser.add_argument("--limit-s", type=float, default=LIMIT_S, metavar="S", help="start nothing after so long")
    parser.add_argument("--quick", action="store_true", help="a little of it, to try the script")
    options = parser.parse_args(arguments)
    if options.device != "cpu" and not torch.accelerator.is_available():
        parser.error(f"torch finds no accelerator for --device {options.device}; --quick --device cpu tries the script")
    found = printed(options.device, options.limit_s, options.quick, options.out)
    print(f"{QUICK}\n" if options.quick else "", table(found), sep="\n", end="")
