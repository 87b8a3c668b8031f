"""Where torch's transforms are known to say otherwise than reverse mode, whatever the numbers: a table, tested.

What is wrong at some points alone, as a solve is where rows have pivots of their own, a look at a few points may miss.
So what f does is looked at instead: the nodes of its graph, and what it does past autograd.

The table is that of torch 2.13. tests/strategies/test_gaps.py goes through it with the torch at hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Literal

import torch
import torch.autograd.forward_ad as forward_ad
from torch import Tensor
from torch.utils._pytree import tree_leaves

from jacstrat.strategies.cuts import nodes_from, nodes_of
from jacstrat.trace import forward_mode
from jacstrat.trace.arguments import Function
from jacstrat.trace.tracers import Watch

# What a strategy rests on: torch's own derivatives of each operation; reverse mode, over itself for a Hessian;
# torch.func, or a recording; vmap over the points; forward mode; that twice.
Transform = Literal["rules", "reverse", "func", "rows", "forward", "twice"]

_NO_GRAD = "under torch.no_grad() it serves the result alone"
_WORDS_OF_GAPS: Mapping[Transform, str] = MappingProxyType(
    {
        "rules": "has a gradient that is not right, since third derivatives of torch's {} are wrong; " + _NO_GRAD,
        "reverse": "has a gradient that is not right, since torch's {} is wrong three times by reverse mode; "
        + _NO_GRAD,
        "rows": "takes points one by one under vmap, where torch's {} is wrong",
        "forward": "goes by forward mode, in which torch's {} is wrong",
        "twice": "goes by forward mode twice, in which torch's {} is wrong",
    }
)
_WORDS_OF_CARRIED = "goes by forward mode, whose tangents of torch's {} have a wrong gradient"
# Operations by the nodes of autograd's graph. Under vmap over points the LU of a point meets the products of all unit
# vectors, by a broadcast that lu_solve takes for another, and the points meet them in prelu's backward, where the axes
# of both are mixed up, which is an error unless B = n; twice in forward mode, terms are dropped.
_SOLVING = "LinalgDet LinalgLuSolve LinalgSlogdet LinalgSolveEx"
_TWICE = "CholeskyInverse LinalgDet LinalgSlogdet LinalgSolveEx NativeBatchNorm NativeLayerNorm ScatterReduce"
WRONG: Mapping[Transform, frozenset[str]] = MappingProxyType(
    {
        "rules": frozenset(("NativeBatchNorm", "NativeLayerNorm")),
        "reverse": frozenset(("Logcumsumexp",)),
        "rows": frozenset(("PreluKernel", *_SOLVING.split())),
        "forward": frozenset(("CholeskyInverse", "ScatterReduce")),
        "twice": frozenset(_TWICE.split()),
    }
)
# Wrong in third derivatives alone, the gradient of a Laplacian.
_THIRD: frozenset[Transform] = frozenset(("rules", "reverse"))
# Right by forward mode, but not the gradient of that: what a forward rule takes from the operation's other results, as
# an LU or a mean, is no function of what came before to it.
WRONG_CARRIED = frozenset((*_TWICE.split(), "LinalgHouseholderProduct")) - {"ScatterReduce"}
# Only with these arguments.
_ONLY: Mapping[str, tuple[str, Any]] = MappingProxyType(
    {"NativeBatchNorm": ("training", True), "ScatterReduce": ("reduce", "prod")}
)
# Operations whose derivative is 0 everywhere: forward mode has nothing to carry past autograd.
_FLAT = frozenset(("ceil", "floor", "floor_divide", "heaviside", "round", "sgn", "sign", "trunc"))
_WRITING = frozenset(("__setitem__", "__iadd__", "__isub__", "__imul__", "__itruediv__", "__ipow__"))

PAST_NO_GRAD = "goes by forward mode, which goes on where f turns gradients off, as reverse mode does not"
PAST_DATA = "is no loop of reverse mode, which alone sees what f writes into `.data`"


def gap(
    f: Function,
    x: Tensor,
    transforms: Iterable[Transform],
    order: int,
    is_traced: bool = False,
    is_tracked: bool = False,
) -> str:
    """Why a strategy cannot be right for f, in words that go on behind "it"; "" where nothing is known against it.

    Args:
        f: Row-wise.
        x: Points that f takes; their numbers have no influence, but where f branches on them.
        transforms: What the strategy rests on.
        order: Of the derivatives of f.
        is_traced: Whether it rests on a recording.
        is_tracked: Whether it is differentiated once more, in x where that requires grad.

    Cost: one evaluation; of what does something under no_grad, one in forward mode besides.
    """
    transforms = frozenset(transforms)
    is_third, is_carried = order == 2 and is_tracked, is_tracked and "forward" in transforms
    if not transforms or not (is_third or transforms - _THIRD):
        return ""
    point, past = x.detach().requires_grad_(), _Past()
    try:
        with torch.enable_grad(), past:
            nodes = list(nodes_of(f(point)))
    except RuntimeError:  # f writes into x itself
        return ""
    names = {_name(node) for node in nodes}
    for transform, wrong in WRONG.items():
        if transform in transforms - _THIRD and (missing := sorted(names & wrong)):
            return _WORDS_OF_GAPS[transform].format(missing[0])
    if past.wrote and (order == 2 or is_traced) and "func" in transforms:
        return PAST_DATA
    if past.turned_off and "forward" in transforms and _goes_on(f, x.detach()):
        return PAST_NO_GRAD
    constant = None if x.requires_grad else point
    third = _third_gap(nodes, transforms & _THIRD, constant) if is_third else ""
    return third or (_carried_gap(nodes, order, constant) if is_carried else "")


def _carried_gap(nodes: list[Any], order: int, constant: Tensor | None) -> str:
    """What of tangents has a wrong gradient: in what comes before the operation, and of a gradient's in all."""
    for node in nodes:
        if (name := _name(node)) in WRONG_CARRIED and _has_leaf(nodes if order == 2 else nodes_from(node), constant):
            return _WORDS_OF_CARRIED.format(name)
    return ""


def _third_gap(nodes: list[Any], transforms: frozenset[Transform], constant: Tensor | None) -> str:
    """The same of third derivatives, where the leaf `constant` is none that they are taken in.

    By torch's own derivatives they are wrong in what comes before an operation; three times by reverse mode also in
    what comes behind it, as the derivative of a derivative in its incoming gradient is.
    """
    for node in nodes:
        name = _name(node)
        if (
            "rules" in transforms
            and name in WRONG["rules"]
            and _has_leaf(nodes_from(node.next_functions[0][0]), constant)
        ):
            return _WORDS_OF_GAPS["rules"].format(name)
        if "reverse" in transforms and name in WRONG["reverse"] and _has_leaf(nodes, constant):
            return _WORDS_OF_GAPS["reverse"].format(name)
    return ""


def _has_leaf(nodes: Iterable[Any], constant: Tensor | None) -> bool:
    """Whether a leaf other than this one is among the nodes of a graph."""
    return any(getattr(one, "variable", constant) is not constant for one in nodes)


def _name(node: Any) -> str:
    """The operation of a node of the graph: "LinalgSolveEx" of LinalgSolveExBackward0."""
    name: str = node.name().partition("Backward")[0]
    argument, value = _ONLY.get(name, ("", None))
    return name if not argument or getattr(node, f"_saved_{argument}") == value else ""


def _goes_on(f: Function, x: Tensor) -> bool:
    """Whether forward mode carries derivatives through what f does with gradients turned off."""
    with torch.enable_grad(), _Carried() as carried:
        try:
            forward_mode.jvp(f, (x,), (torch.ones_like(x),))
        except RuntimeError:  # what keeps it from being differentiated at all is told elsewhere
            return False
    return carried.seen


class _Past(Watch):
    """Sees what a function does past autograd.

    Attributes:
        turned_off: It calls operations with gradients turned off.
        wrote: It writes into numbers that it has from `.data`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.turned_off = self.wrote = False
        # Alive, so that no other tensor takes their places.
        self._data: list[Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.turned_off |= not torch.is_grad_enabled()
        if self._data and _is_write(func) and isinstance(args[0], Tensor):
            self.wrote |= any(map(partial(_is_same_place, args[0]), self._data))
        out = func(*args, **(kwargs or {}))
        if func == Tensor.data.__get__ and args[0].requires_grad:  # type: ignore[attr-defined]
            self._data.append(out)
        return out


class _Carried(Watch):
    """Sees whether a tangent is carried with gradients turned off."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if not torch.is_grad_enabled() and not self.seen and getattr(func, "__name__", "") not in _FLAT:
            outputs = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor) and leaf.is_floating_point()]
            written = [args[0]] if _is_write(func) and isinstance(args[0], Tensor) else []
            with torch._C.DisableTorchFunction():
                self.seen = any(forward_ad.unpack_dual(tensor).tangent is not None for tensor in (*outputs, *written))
        return out


def _is_write(func: Any) -> bool:
    """Whether a call writes into its first argument: `add_`, `x[i] = y`, `x += y`."""
    name: str = getattr(func, "__name__", "")
    return name in _WRITING or (name.endswith("_") and not name.endswith("__"))


def _is_same_place(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors share their numbers; what a transform wraps has no place of its own."""
    try:
        return one.untyped_storage()._cdata == other.untyped_storage()._cdata
    except (RuntimeError, NotImplementedError):
        return False
