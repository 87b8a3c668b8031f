"""Where a function's graph ends: what it cuts off on purpose, the leaves that it tracks, and what was there before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from jacstrat.trace.arguments import Function
from jacstrat.trace.tracers import Watch


class Ends(NamedTuple):
    """Where the graph of f(x) ends.

    Fields:
        leaves: Tensors that require grad, each once.
        goes_beyond: Whether it goes on in a graph that was there before, as where f holds a tensor with a history.
    """

    leaves: tuple[Tensor, ...]
    goes_beyond: bool


def ends(f: Function, x: Tensor) -> Ends:
    """Where the graph of f(x) ends, x itself left out. Cost: one evaluation.

    Before a graph of interest is made, as f may write into what that saves.
    """
    x = x.detach()
    with torch.enable_grad():
        number = torch._C._autograd._get_sequence_nr()
        nodes = list(nodes_of(f(x)))
    variables = (node.variable for node in nodes if hasattr(node, "variable"))
    # A function that takes a derivative by x inside makes a leaf of it.
    storage_of_x = x.untyped_storage().data_ptr()
    leaves = {id(leaf): leaf for leaf in variables if leaf.untyped_storage().data_ptr() != storage_of_x}
    beyond = any(not hasattr(node, "variable") and node._sequence_nr() < number for node in nodes)
    return Ends(tuple(leaves.values()), beyond)


def has_cuts(f: Function, x: Tensor) -> bool:
    """Whether f cuts derivatives off, or has a backward of its own making: what differences do not see.

    It detaches, turns gradients off, reads the number of a tensor that requires grad, or has a hook change a gradient.
    """
    x = x.detach().requires_grad_()
    with torch.enable_grad(), _CutWatch() as cuts:
        y = f(x)
    return cuts.seen or any(isinstance(node, torch.autograd.function.BackwardCFunction) for node in nodes_of(y))


def is_differentiable_once(f: Function, x: Tensor) -> bool:
    """Whether f has an autograd.Function that is marked as `once_differentiable`.

    What it refuses is not on the way to x, where autograd would meet it: a second derivative is 0 without a word.
    """
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        y = f(x)
    functions = (getattr(node, "_forward_cls", None) for node in nodes_of(y))
    ways = (getattr(one, name, None) for one in functions for name in ("backward", "vjp"))
    return any(getattr(way, "__code__", None) is _ONCE for way in ways)


# What every function that is marked so runs.
_ONCE = torch.autograd.function.once_differentiable(lambda ctx, *_: None).__code__


def has_other_leaf(y: Tensor, x: Tensor) -> bool:
    """Whether the graph of y ends in another leaf than x."""
    return any(getattr(node, "variable", x) is not x for node in nodes_of(y))


class _CutWatch(Watch):
    """Sees whether a function cuts derivatives off."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen |= func in _DETACHING or not torch.is_grad_enabled()
        self.seen |= func in _READING and args[0].requires_grad
        return func(*args, **(kwargs or {}))


_DETACHING = {Tensor.detach, torch.detach, Tensor.detach_, Tensor.data.__get__}  # type: ignore[attr-defined]
_DETACHING |= {Tensor.register_hook}
# Whole numbers and truth values have no derivative in any case.
_READING = {Tensor.item, Tensor.tolist, Tensor.__float__, Tensor.__complex__}


def nodes_of(y: Tensor) -> Iterator[Any]:
    """The nodes of the graph of y, each once."""
    return nodes_from(y.grad_fn)


def nodes_from(node: Any) -> Iterator[Any]:
    """This node of a graph, if any, and those before it, each once."""
    seen: set[Any] = set()
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            yield node
            waiting += [before for before, _ in node.next_functions]
