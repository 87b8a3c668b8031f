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
from jacstrat.structure.rules import (
    PATTERN_RULES,
    ArgumentSlot,
    PatternCall,
    PatternRule,
    UnknownError,
    everything,
    pointwise,
)
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
    constants = _ConstantValues(graph)
    left = {node: len(node.users) for node in graph.graph.nodes}
    first = next(node for node in graph.graph.nodes if node.op == "placeholder")
    for node in graph.graph.nodes:
        if node.op == "placeholder":
            known[node] = Sets.each(node.meta["val"].shape) if node is first else None
        elif node.op == "call_function":
            known[node] = _result(node, known, constants, n)
        elif node.op == "output":
            (last,) = node.all_input_nodes
            output = known.get(last)
            sets = output if isinstance(output, Sets) else Sets.constant(_example(last).shape, n)
            return Propagated(sets, tuple(constants.looked_at))
        for argument in node.all_input_nodes:
            left[argument] -= 1
            if left[argument] == 0:
                known.pop(argument, None)
    raise AssertionError("a graph ends with its output")


def _result(node: Node, known: Mapping[Node, Known], constants: _ConstantValues, n: int) -> Known:
    arguments = [known.get(argument) for argument in node.all_input_nodes]
    if all(argument is None for argument in arguments) or takes_shapes_only(node.target):
        return None
    if node.target is operator.getitem:
        source, index = arguments[0], node.args[1]
        assert isinstance(source, list)
        assert isinstance(index, int)
        return source[index]
    example = _example(node)
    results = list(example) if isinstance(example, list | tuple) else [example]
    if not any(isinstance(result, Tensor) for result in results):
        return None
    shapes = tuple(tuple(one.shape) if isinstance(one, Tensor) else () for one in results)
    call = PatternCall(node.target, _bound(node, known, constants), shapes, n)
    patterns = _apply(_rule(node), call)
    # What is no real or complex number, as a mask or an index, has no derivative, nor has what is no tensor.
    sets = [
        (one if _differentiable(result) else Sets.constant(result.shape, n)) if isinstance(result, Tensor) else None
        for one, result in zip(patterns, results, strict=True)
    ]
    return sets if isinstance(example, list | tuple) else sets[0]


def _apply(rule: PatternRule, call: PatternCall) -> list[Sets]:
    """By the rule where it knows, else by the one that is true of every operation."""
    sizes = [*call.shapes, *(sets.ids.shape for sets in call.dependent)]
    if max(map(math.prod, sizes)) > MAX_ELEMENTS:
        return everything(call)
    try:
        patterns = rule(call)
    except UntracedError:
        raise
    except Exception:
        # UnknownError, and where an operation, or an overload that the rule was not made for, does not take ids: what
        # is true of every operation is true of this one.
        return everything(call)
    patterns = patterns if isinstance(patterns, list) else [patterns]
    if [tuple(one.ids.shape) for one in patterns] != list(call.shapes):
        return everything(call)
    return patterns


def _rule(node: Node) -> PatternRule:
    if not isinstance(node.target, OpOverload) or node.target.namespace != "aten":
        return everything
    operation = operation_of(node.target)
    if operation is not None and operation.kind in PATTERN_RULES:
        return PATTERN_RULES[operation.kind]
    return pointwise if is_pointwise(node.target) else everything


def _bound(node: Node, known: Mapping[Node, Known], constants: _ConstantValues) -> dict[str, Any]:
    """Arguments by name, each tensor a Slot."""

    def slot(argument: Node) -> Any:
        example, sets = _example(argument), known.get(argument)
        if not isinstance(example, Tensor):
            return example
        assert not isinstance(sets, list)
        whole = example.is_contiguous() and example.untyped_storage().nbytes() == example.numel() * example.itemsize
        return ArgumentSlot(
            tuple(example.shape), _differentiable(example), whole, sets, lambda: constants.value(argument, sets)
        )

    args, kwargs = _plain(map_arg((node.args, node.kwargs), slot))
    if not isinstance(node.target, OpOverload):
        return {"args": args, **kwargs}
    schema = node.target._schema.arguments
    bound = {argument.name: argument.default_value for argument in schema if argument.has_default_value()}
    return {**bound, **{argument.name: value for argument, value in zip(schema, args, strict=False)}, **kwargs}


def _plain(tree: Any) -> Any:
    """Lists and dicts of a graph as plain ones, which operators take."""
    if isinstance(tree, list | tuple):
        return [_plain(leaf) for leaf in tree]
    return {key: _plain(leaf) for key, leaf in tree.items()} if isinstance(tree, dict) else tree


def _example(node: Node) -> Any:
    return node.meta.get("val")


def _differentiable(tensor: Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()


class _ConstantValues:
    """Values of nodes that do not depend on x, computed on the CPU when first asked for.

    Attributes:
        looked_at: The tensors that f holds among these.
    """

    def __init__(self, graph: GraphModule) -> None:
        self._graph = graph
        self._values: dict[Node, Any] = {}
        self.looked_at: list[Tensor] = []

    def value(self, node: Node, sets: Sets | None = None) -> Any:
        """The tensor that the node gives.

        Raises:
            UnknownError: It depends on x, or on a parameter, which training changes.
            UntracedError: f holds it on the meta device.
        """
        if sets is not None or node.op == "placeholder":
            raise UnknownError
        if node not in self._values:
            with torch.no_grad():
                self._values[node] = self._attribute(node) if node.op == "get_attr" else self._computed(node)
        return self._values[node]

    def _attribute(self, node: Node) -> Any:
        attribute = operator.attrgetter(str(node.target))(self._graph)
        if not isinstance(attribute, Tensor) or attribute.requires_grad:
            raise UnknownError
        if attribute.is_meta:
            raise UntracedError("an index that it holds has no values on the meta device")
        self.looked_at.append(attribute)
        return attribute.cpu()

    def _computed(self, node: Node) -> Any:
        shaped = takes_shapes_only(node.target)

        def value_of(argument: Node) -> Any:
            example = _example(argument)
            return torch.empty(example.shape, dtype=example.dtype, device="cpu") if shaped else self.value(argument)

        args, kwargs = _plain(map_arg((node.args, node.kwargs), value_of))
        if "device" in kwargs:
            kwargs["device"] = torch.device("cpu")
        assert isinstance(node.target, OpOverload)
        return node.target(*args, **kwargs)
