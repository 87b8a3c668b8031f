"""The strategy that another library is: f is told to a process of its own, which works and takes the time there."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from jacstrat.core.errors import UnsupportedError
from jacstrat.core.operator import Operator
from jacstrat.peers.place import Place
from jacstrat.peers.process import Process, process_of
from jacstrat.peers.program import DTYPES, Program
from jacstrat.strategies.base import Args, Function, Strategy
from jacstrat.strategies.contraction import Contraction, Remote
from jacstrat.strategies.look import has_numbers


@dataclass(frozen=True)
class Peer(Strategy):
    """Base of a strategy that another library is. A concrete one names its place, its side and what it serves.

    f is recorded at one point and told to the peer's process as a list of ATen operations; the batch is the peer's own
    matter. Results carry no gradient. Nothing of what it does is counted here: its columns of products, operations,
    FLOPs and memory are empty.
    """

    place: ClassVar[Place]
    # The file that the peer's process runs; see `jacstrat.peers.serve`.
    side: ClassVar[Path]
    # Names of the operators that the library has.
    serves: ClassVar[tuple[str, ...]] = ("laplacian",)
    compiles: ClassVar[bool] = True
    capturable: ClassVar[bool] = False
    records: ClassVar[bool] = True
    takes_fourth_order: ClassVar[bool] = True
    is_remote: ClassVar[bool] = True

    @property
    def starts_compiler(self) -> bool:
        # Not torch's, in this process.
        return False

    @property
    def missing(self) -> str | None:
        return self.place.missing()

    @property
    def software(self) -> Mapping[str, str]:
        return self.place.software()

    def refuse(self, operator: Operator) -> str | None:
        if operator.name in self.serves:
            return None
        return f"{self.place.distribution} has none; it serves the {' and the '.join(self.serves)}"

    def start(self, device: torch.device) -> None:
        self._process(device)

    @final
    def build(
        self, operator: Operator, f: Function, x: Tensor, args: Args, generator: torch.Generator | None
    ) -> Contraction:
        _refuse_what_cannot_be_told(x)
        program = Program.of(f, x, args)
        _refuse_gradients(x, program)
        batch, n = (1, *x.shape)[-2:]
        task = {
            "operator": operator.name,
            "options": asdict(self),
            "program": program.plain,
            "goes": program.goes,
            "batch": batch,
            "n": n,
            "dtype": str(x.dtype).removeprefix("torch."),
            "device": x.device.type,
            "threads": torch.get_num_threads(),
            "precision": precision(x),
        }
        process = self._process(x.device)
        handle, software = process.prepare(task, program.inputs(x, args))

        def evaluate(x: Tensor, *args: Any) -> Tensor:
            _refuse_what_cannot_be_told(x)
            _refuse_gradients(x, program)
            array = process.evaluate(handle, program.inputs(x, args))
            result = torch.from_numpy(array).to(x)
            return result if x.dim() == 2 else result.squeeze(0)

        # What was prepared lives as long as who may call it.
        weakref.finalize(evaluate, process.forget, handle).atexit = False
        remote = Remote(lambda calls: process.seconds(handle, calls), software)
        constants = tuple(program.constants.values())
        return Contraction(evaluate, is_traced=True, constants=constants, remote=remote)

    def _process(self, device: torch.device) -> Process:
        python = self.place.interpreter()
        assert python is not None, "what is missing is told of before"
        return process_of(self.name, python, self.side, str(device), torch.get_num_threads())


def precision(x: Tensor) -> str:
    """What float32 products on the device of x round to as this process is set: "float32" or "tf32"."""
    if x.device.type != "cuda" or x.dtype != torch.float32:
        return str(x.dtype).removeprefix("torch.")
    backends: Any = torch.backends
    return "tf32" if backends.cuda.matmul.fp32_precision == "tf32" else "float32"


def _refuse_what_cannot_be_told(x: Tensor) -> None:
    if not has_numbers(x):
        raise UnsupportedError("another process does the work, which nothing without numbers can be told")
    if x.dtype not in DTYPES:
        raise UnsupportedError(f"another process does the work, in float32 or float64, and x has {x.dtype}")
    if x.numel() == 0:
        raise UnsupportedError("another process does the work, and there are no points")


def _refuse_gradients(x: Tensor, program: Program) -> None:
    """A result without a gradient, where one was to be had, would be a wrong gradient."""
    if torch.is_grad_enabled() and any(one.requires_grad for one in (x, *program.constants.values())):
        raise UnsupportedError("another process does the work, and its result has no gradient; call under no_grad")
