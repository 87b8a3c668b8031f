"""Sets through a graph, operation by operation: from each coordinate of x on itself to the rows of the pattern."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.fx import GraphModule, Node
from torch.fx.node import map_arg

# Imported for the rules that they enter.
from jacstrat.structure import rules_index, rules_window  # noqa: F401
from jacstrat.structure.rules import RULES, ArgumentSlot, PatternCall, Rule, UnknownError, everything, pointwise
from jacstrat.structure.sets import Sets
from jacstrat.trace.graph import UntracedError
from jacstrat.trace.operations import is_pointwise, operation_of, takes_shapes_only

# Elements that a tensor may have for each of them to have a set of its own.
MAX_ELEMENTS = 4_000_000

# What is known of a node: sets of its one result or of each of several; None where it does not depend on x.
Known = Sets | list[Sets | None] | None


class Propagated(NamedTuple):
    """Sets of a graph's one result, and the tensors that f holds whose numbers were looked at."""

    sets: Sets
    looked_at: tuple[Tensor, ...]


def propagate(graph: GraphModule, n: int) -> Propagated:
    """Those of a graph whose first input is x with n coordinates; on the others its result does not depend.

    Raises:
        UntracedError: An index that f holds has no values, being on the meta device.
    """
    known: dict[Node, Known] = {}
    constants = _Constants(graph)
    left = {node: len(node.users) for node in graph.graph.nodes}
    first = next(node for node in graph.graph.nodes if node.op == "placeholder")
    for node in graph.graph.nodes:
        if node.op == "placeholder":
            known[node] = Sets.each(node.meta["val"].shape) if node is first else None
        elif node.op == "call_function":
            known[node] = _result(node, known, constants, n)
        elif node.op == "output":
            (last,) = node.all_input_nodes
            found = known.get(last)
            sets = found if isinstance(found, Sets) else Sets.constant(_made(last).shape, n)
            return Propagated(sets, tuple(constants.held))
        for argument in node.all_input_nodes:
            left[argument] -= 1
            if left[argument] == 0:
                known.pop(argument, None)
    raise AssertionError("a graph ends with its output")


def _result(node: Node, known: Mapping[Node, Known], constants: _Constants, n: int) -> Known:
    arguments = [known.get(argument) for argument in node.all_input_nodes]
    if all(argument is None for argument in arguments) or takes_shapes_only(node.target):
        return None
    if node.target is operator.getitem:
        source, place = arguments[0], node.args[1]
        assert isinstance(source, list)
        assert isinstance(place, int)
        return source[place]
    made = _made(node)
    results = list(made) if isinstance(made, list | tuple) else [made]
    if not any(isinstance(result, Tensor) for result in results):
        return None
    shapes = tuple(tuple(one.shape) if isinstance(one, Tensor) else () for one in results)
    call = PatternCall(node.target, _bound(node, known, constants), shapes, n)
    found = _apply(_rule(node), call)
    # What is no real or complex number, as a mask or an index, has no derivative, nor has what is no tensor.
    sets = [
        (one if _differentiable(result) else Sets.constant(result.shape, n)) if isinstance(result, Tensor) else None
        for one, result in zip(found, results, strict=True)
    ]
    return sets if isinstance(made, list | tuple) else sets[0]


def _apply(rule: Rule, call: PatternCall) -> list[Sets]:
    """By the rule where it knows, else by the one that is true of every operation."""
    sizes = [*call.shapes, *(sets.ids.shape for sets in call.dependent)]
    if max(map(math.prod, sizes)) > MAX_ELEMENTS:
        return everything(call)
    try:
        found = rule(call)
    except UntracedError:
        raise
    except Exception:
        # UnknownError, and where an operation, or an overload that the rule was not made for, does not take ids: what
        # is true of every operation is true of this one.
        return everything(call)
    found = found if isinstance(found, list) else [found]
    if [tuple(one.ids.shape) for one in found] != list(call.shapes):
        return everything(call)
    return found


def _rule(node: Node) -> Rule:
    if not isinstance(node.target, OpOverload) or node.target.namespace != "aten":
        return everything
    operation = operation_of(node.target)
    if operation is not None and operation.kind in RULES:
        return RULES[operation.kind]
    return pointwise if is_pointwise(node.target) else everything


def _bound(node: Node, known: Mapping[Node, Known], constants: _Constants) -> dict[str, Any]:
    """Arguments by name, each tensor a Slot."""

    def slot(argument: Node) -> Any:
        made, found = _made(argument), known.get(argument)
        if not isinstance(made, Tensor):
            return made
        assert not isinstance(found, list)
        whole = made.is_contiguous() and made.untyped_storage().nbytes() == made.numel() * made.itemsize
        return ArgumentSlot(
            tuple(made.shape), _differentiable(made), whole, found, lambda: constants.value(argument, found)
        )

    args, kwargs = _plain(map_arg((node.args, node.kwargs), slot))
    if not isinstance(node.target, OpOverload):
        return {"args": args, **kwargs}
    schema = node.target._schema.arguments
    bound = {argument.name: argument.default_value for argument in schema if argument.has_default_value()}
    return {**bound, **{argument.name: given for argument, given in zip(schema, args, strict=False)}, **kwargs}


def _plain(tree: Any) -> Any:
    """Lists and dicts of a graph as plain ones, which operators take."""
    if isinstance(tree, list | tuple):
        return [_plain(leaf) for leaf in tree]
    return {key: _plain(leaf) for key, leaf in tree.items()} if isinstance(tree, dict) else tree


def _made(node: Node) -> Any:
    return node.meta.get("val")


def _differentiable(tensor: Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()


class _Constants:
    """Values of nodes that do not depend on x, computed on the CPU when first asked for.

    Attributes:
        held: The tensors that f holds among these.
    """

    def __init__(self, graph: GraphModule) -> None:
        self._graph = graph
        self._found: dict[Node, Any] = {}
        self.held: list[Tensor] = []

    def value(self, node: Node, sets: Sets | None = None) -> Any:
        """The tensor that the node gives.

        Raises:
            UnknownError: It depends on x, or on a parameter, which training changes.
            UntracedError: f holds it on the meta device.
        """
        if sets is not None or node.op == "placeholder":
            raise UnknownError
        if node not in self._found:
            with torch.no_grad():
                self._found[node] = self._held(node) if node.op == "get_attr" else self._computed(node)
        return self._found[node]

    def _held(self, node: Node) -> Any:
        held = operator.attrgetter(str(node.target))(self._graph)
        if not isinstance(held, Tensor) or held.requires_grad:
            raise UnknownError
        if held.is_meta:
            raise UntracedError("an index that it holds has no values on the meta device")
        self.held.append(held)
        return held.cpu()

    def _computed(self, node: Node) -> Any:
        shaped = takes_shapes_only(node.target)

        def given(argument: Node) -> Any:
            made = _made(argument)
            return torch.empty(made.shape, dtype=made.dtype) if shaped else self.value(argument)

        args, kwargs = _plain(map_arg((node.args, node.kwargs), given))
        if "device" in kwargs:
            kwargs["device"] = torch.device("cpu")
        assert isinstance(node.target, OpOverload)
        return node.target(*args, **kwargs)
