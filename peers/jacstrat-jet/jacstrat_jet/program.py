"""A program of ATen operations as a function of torch again, in operations that jet has rules for where that can be.

Imported in a Python without jacstrat.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

Program = Mapping[str, Any]
aten = torch.ops.aten


def function(program: Program, tensors: Mapping[str, Tensor], device: torch.device) -> Callable[[Tensor], Tensor]:
    """x (n,) -> f at one point, as the program has it.

    Args:
        program: As jacstrat.peers.program writes it.
        tensors: The constants, and the further arguments "arg0", ..., which are the same at every point.
        device: Where what f makes is made.
    """
    operations = {node["op"]: operation(node["op"]) for node in program["nodes"]}

    def f(x: Tensor) -> Tensor:
        slots: dict[int, Any] = {0: x.unsqueeze(0) if program["is_row"] else x}
        slots |= {1 + number: tensors[f"arg{number}"] for number in range(program["arguments"])}

        def leaf(value: Any) -> Any:
            if isinstance(value, list):
                return [leaf(one) for one in value]
            if not isinstance(value, dict):
                return value
            ((kind, what),) = value.items()
            return {
                "slot": lambda: slots[what],
                "array": lambda: tensors[what],
                "float": lambda: float(what),
                "dtype": lambda: getattr(torch, what),
                "device": lambda: device,
            }[kind]()

        for node in program["nodes"]:
            kwargs = {name: leaf(arg) for name, arg in node["kwargs"].items() if arg is not None}
            out = operations[node["op"]](*map(leaf, node["args"]), **kwargs)
            for slot, value in zip(node["outs"], out if node["is_tuple"] else (out,), strict=False):
                if slot is not None:
                    slots[slot] = value.detach() if node["is_cut"] else value
        y = leaf(program["output"])
        return y.squeeze(0) if program["is_row"] else y

    return f


def operation(name: str) -> Callable[..., Any]:
    """The operation of a name such as "aten.mm.default", or what says the same in others."""
    if name in WORDS:
        return WORDS[name]
    _, packet, overload = name.split(".")
    found: Callable[..., Any] = getattr(getattr(aten, packet), overload)
    return found


def _layer_norm(v: Tensor, shape: Sequence[int], weight: Any, bias: Any, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    axes = list(range(-len(shape), 0))
    mean = v.mean(axes, keepdim=True)
    centred = v - mean
    scale = ((centred * centred).mean(axes, keepdim=True) + eps) ** -0.5
    y = centred * scale
    y = y if weight is None else y * weight
    return y if bias is None else y + bias, mean, scale


# What jet 1.0 has no rule for, in operations for which it has one. Its users would have to write f so.
WORDS: Mapping[str, Callable[..., Any]] = {
    "aten.alias.default": lambda v: v,
    "aten._softmax.default": lambda v, dim, half: torch.exp(torch.log_softmax(v, dim)),
    "aten.native_layer_norm.default": _layer_norm,
    "aten.reciprocal.default": lambda v: v**-1.0,
    "aten.rsqrt.default": lambda v: v**-0.5,
    "aten.rsub.Scalar": lambda v, other, alpha=1: other + v * -alpha,
    "aten.silu.default": lambda v: v * torch.sigmoid(v),
    "aten.sqrt.default": lambda v: v**0.5,
}
