"""A function as a list of ATen operations in JSON and arrays, for a process that has neither it nor this Python.

What another process is told of f is what f does at one point: the operations that were recorded, in torch's own names,
with numbers, dtypes and slots as JSON, and the tensors that f holds as arrays beside it. The batch is the peer's own
matter: it maps the program over points by its own vmap, as its users do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jacstrat.core.errors import UnsupportedError
from jacstrat.trace.arguments import Args, Function, lifted, of_rows, taken
from jacstrat.trace.record import Untraceable, record
from jacstrat.trace.rows import rows_apart
from jacstrat.trace.tape import Node, Slot, Tape

# numpy has no bfloat16, and libraries differ in what float16 does.
DTYPES = (torch.float32, torch.float64)
# A point (n,) and a batch of one, (1, n), may differ by as much, relative to the largest number.
POWER_OF_EPS = 0.5


@dataclass(frozen=True, eq=False)
class Program:
    """f at one point.

    Fields:
        plain: {"nodes", "output", "is_row", "arguments"} as plain JSON. A node has "op", "args", "kwargs", "outs",
            "is_tuple" and "is_cut"; slot 0 is the point, those behind it are the tensors among the arguments.
        constants: Tensors that f holds, by their names in the program.
        goes: Of the arguments that are tensors, whether each goes with its point.
    """

    plain: dict[str, Any]
    constants: dict[str, Tensor]
    goes: tuple[bool, ...]

    @classmethod
    def of(cls, f: Function, x: Tensor, args: Args) -> Program:
        """The program of f at points like those of x.

        Raises:
            UnsupportedError: f cannot be recorded, or does what has no name outside of this process; says why.
        """
        if x.dim() == 2 and (why := rows_apart(f, x, args)):
            raise UnsupportedError(f"it takes points one by one, and f {why}")
        args = lifted(args)
        try:
            tape, is_row = _recorded(f, x, args)
        except Untraceable as error:
            raise UnsupportedError(f"f cannot be recorded for another process: {error}") from error
        writer = _Writer()
        nodes = [writer.node(node) for node in _needed(tape)]
        output = {"slot": tape.output} if isinstance(tape.output, int) else writer.leaf(tape.output)
        plain = {"nodes": nodes, "output": output, "is_row": is_row, "arguments": tape.arguments}
        goes = tuple(its for arg, its in zip(args, of_rows(x, args), strict=True) if isinstance(arg, Tensor))
        return cls(plain, writer.constants, goes)

    def inputs(self, x: Tensor, args: Args) -> dict[str, np.ndarray]:
        """The arrays of a call: "x", (B, n), "arg0", ..., and the constants as they are now."""
        tensors = [arg for arg in lifted(args) if isinstance(arg, Tensor)]
        arrays = {"x": as_array(x if x.dim() == 2 else x.unsqueeze(0))}
        arrays |= {f"arg{number}": as_array(tensor) for number, tensor in enumerate(tensors)}
        return arrays | {name: as_array(tensor) for name, tensor in self.constants.items()}


def as_array(tensor: Tensor) -> np.ndarray:
    """The numbers of a tensor, whatever device it is on."""
    return tensor.detach().cpu().contiguous().numpy()


def _recorded(f: Function, x: Tensor, args: Args) -> tuple[Tape, bool]:
    """The tape at a point (n,), or else at a batch of one; and whether it is the latter."""
    if x.dim() == 1:
        return record(f, x, args), False
    row, its = x[:1], taken(x, args, slice(0, 1))
    goes = of_rows(x, args)
    single = tuple(arg[0] if one else arg for arg, one in zip(args, goes, strict=True))
    try:
        with torch.no_grad():
            whole, alone = f(row.detach(), *its), f(row[0].detach(), *single)
        slack = torch.finfo(x.dtype).eps ** POWER_OF_EPS * whole.abs().amax()
        if alone.shape == whole.shape[1:] and bool(((alone - whole[0]).abs() <= slack).all()):
            return record(f, row[0], single), False
    except Exception:  # f takes batches alone
        pass
    return record(f, row, its), True


def _needed(tape: Tape) -> list[Node]:
    """The nodes that the result depends on."""
    needed = {tape.output} if isinstance(tape.output, int) else set()
    nodes = []
    for node in reversed(tape.nodes):
        if needed.intersection(node.outs):
            nodes.append(node)
            needed.update(node.slots)
    return nodes[::-1]


class _Writer:
    """Writes nodes as plain JSON, and keeps the tensors by the names that it gives them."""

    def __init__(self) -> None:
        self.constants: dict[str, Tensor] = {}
        self._names: dict[int, str] = {}

    def node(self, node: Node) -> dict[str, Any]:
        if not isinstance(node.op, torch._ops.OpOverload) or node.op.namespace != "aten":
            name = getattr(node.op, "__qualname__", None) or str(node.op)
            raise UnsupportedError(f"f has {name}, which is no operation of ATen that another process could be told of")
        return {
            "op": str(node.op),
            "args": [self.leaf(arg) for arg in node.args],
            "kwargs": {name: self.leaf(arg) for name, arg in node.kwargs.items()},
            "outs": list(node.outs),
            "is_tuple": node.is_tuple,
            "is_cut": node.is_cut,
        }

    def leaf(self, value: Any) -> Any:
        """An argument as plain JSON; what JSON has no form for is an object of one entry that names its kind."""
        if isinstance(value, Slot):
            return {"slot": value.index}
        if isinstance(value, Tensor):
            return {"array": self._name(value)}
        if isinstance(value, list | tuple):
            return [self.leaf(one) for one in value]
        if isinstance(value, float) and not math.isfinite(value):
            return {"float": str(value)}
        if isinstance(value, torch.dtype):
            return {"dtype": str(value).removeprefix("torch.")}
        if isinstance(value, torch.device | torch.layout | torch.memory_format):
            # Where it computes, and how it lays numbers out, is the peer's own.
            return {"device": None} if isinstance(value, torch.device) else None
        if value is None or isinstance(value, bool | int | float | str):
            return value
        raise UnsupportedError(
            f"f has an argument of type {type(value).__name__}, which another process cannot be told"
        )

    def _name(self, tensor: Tensor) -> str:
        if tensor.is_complex() or tensor.dtype in (torch.float16, torch.bfloat16) or tensor.layout != torch.strided:
            raise UnsupportedError(f"f holds a tensor of {tensor.dtype}, which another process cannot be told")
        if id(tensor) not in self._names:
            self._names[id(tensor)] = name = f"constant{len(self.constants)}"
            self.constants[name] = tensor
        return self._names[id(tensor)]
