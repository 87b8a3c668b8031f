"""Mutants of a closed form: its source with one sign, factor, term or function changed, compiled anew.

A closed form is a `diagonal`, or one of `closed`, and every function of jacstrat.problems that it comes to call.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from types import FunctionType
from typing import Any

import numpy as np

Diagonal = Callable[..., np.ndarray]
SIGNS: dict[type[ast.operator], type[ast.operator]] = {ast.Add: ast.Sub, ast.Sub: ast.Add}
TWINS = {"sin": "cos", "cos": "sin", "cosh": "sinh", "tanh": "sinh", "zeros_like": "ones_like"}
# Their numbers are axes, which say where and not how much.
BY_AXIS = {"sum", "max", "prod", "cumsum", "stack", "reshape", "concatenate", "broadcast_to"}


@dataclass(frozen=True)
class Mutant:
    """A closed form with one change.

    Fields:
        name: "function: before -> after".
        diagonal: The changed closed form.
    """

    name: str
    diagonal: Diagonal


def mutants(form: Diagonal | None) -> Iterator[Mutant]:
    """Every mutant of a closed form; the second of a name has a number after it."""
    assert form is not None
    seen: Counter[str] = Counter()
    for mutant in (*_of_the_result(form), *_of_the_source(form)):
        seen[mutant.name] += 1
        count = seen[mutant.name]
        yield mutant if count == 1 else replace(mutant, name=f"{mutant.name} #{count}")


def _of_the_result(diagonal: Diagonal) -> Iterator[Mutant]:
    """Changes of the whole, which a function of numpy has as well as one with a source."""
    yield Mutant("result: D -> -D", lambda *x, **weights: -diagonal(*x, **weights))
    yield Mutant("result: D -> 2 * D", lambda *x, **weights: 2 * diagonal(*x, **weights))
    yield Mutant("result: D -> D + 1", lambda *x, **weights: diagonal(*x, **weights) + 1)


def _of_the_source(diagonal: Diagonal) -> Iterator[Mutant]:
    functions = _called(diagonal)
    trees = {name: _tree(function) for name, function in functions.items()}
    for name, tree in trees.items():
        for number, node in enumerate(ast.walk(tree)):
            for replacement in _replacements(node):
                changed = deepcopy(tree)
                target = next(other for k, other in enumerate(ast.walk(changed)) if k == number)
                label = f"{name}: {ast.unparse(node)} -> {ast.unparse(replacement)}"
                changed = _Replace(target, replacement).visit(changed)
                yield Mutant(label, _compiled(functions, {**trees, name: changed}, diagonal.__name__))


def _called(function: Any) -> dict[str, FunctionType]:
    """The function, and those of jacstrat.problems that it names, and that these name."""
    if not _is_ours(function):
        return {}
    found: dict[str, FunctionType] = {}
    waiting = [function]
    while waiting:
        function = waiting.pop()
        if found.setdefault(function.__name__, function) is not function:
            raise AssertionError(f"two functions are called {function.__name__}")
        named = {node.id for node in ast.walk(_tree(function)) if isinstance(node, ast.Name)}
        others = (function.__globals__.get(name) for name in sorted(named))
        waiting += [other for other in others if _is_ours(other) and found.get(other.__name__) is not other]
    return found


def _is_ours(value: Any) -> bool:
    return isinstance(value, FunctionType) and value.__module__.startswith("jacstrat.problems")


def _tree(function: FunctionType) -> ast.FunctionDef:
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    assert isinstance(tree, ast.FunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.args = _without_annotations(node.args)
            node.returns = None
            if ast.get_docstring(node):
                node.body = node.body[1:]
    return tree


def _without_annotations(arguments: ast.arguments) -> ast.arguments:
    for argument in (*arguments.args, *filter(None, (arguments.vararg, arguments.kwarg))):
        argument.annotation = None
    return arguments


def _compiled(functions: dict[str, FunctionType], trees: dict[str, ast.FunctionDef], name: str) -> Diagonal:
    """The closed form from the sources, which call each other in one namespace."""
    namespace: dict[str, Any] = {}
    for function in functions.values():
        namespace.update(function.__globals__)
    module = ast.fix_missing_locations(ast.Module(body=list(trees.values()), type_ignores=[]))
    exec(compile(module, "<mutant>", "exec"), namespace)
    return namespace[name]


class _Replace(ast.NodeTransformer):
    """One node by another."""

    def __init__(self, target: ast.AST, replacement: ast.AST) -> None:
        self.target, self.replacement = target, replacement

    def visit(self, node: ast.AST) -> Any:
        return self.replacement if node is self.target else super().visit(node)


def _replacements(node: ast.AST) -> Iterator[ast.AST]:
    """What a node may be changed into, by the kinds of mistake that a derivation makes; places are left as they are.

    To be asked of a node before those below it.
    """
    if getattr(node, "is_place", False):
        return
    _mark_places(node)
    match node:
        case ast.BinOp(left, operator, right):
            # A term or factor left out, and a factor too many.
            yield deepcopy(left)
            if isinstance(operator, ast.Add | ast.Sub | ast.Mult | ast.MatMult):
                yield deepcopy(right)
            if type(operator) in SIGNS:
                yield ast.BinOp(deepcopy(left), SIGNS[type(operator)](), deepcopy(right))
            yield ast.BinOp(ast.Constant(2), ast.Mult(), deepcopy(node))
        case ast.UnaryOp(ast.USub(), operand):
            yield deepcopy(operand)
        case ast.AugAssign(target, operator, value) if type(operator) in SIGNS:
            yield ast.AugAssign(deepcopy(target), SIGNS[type(operator)](), deepcopy(value))
            yield ast.Pass()
        case ast.Constant(bool() | str()):
            return
        case ast.Constant(int() | float() as number):
            yield ast.Constant(number + 1)
        case ast.Attribute(value, name) if name in TWINS:
            yield ast.Attribute(deepcopy(value), TWINS[name], ast.Load())
        case ast.Return(value) if value is not None:
            yield ast.Return(ast.UnaryOp(ast.USub(), deepcopy(value)))


def _mark_places(node: ast.AST) -> None:
    """Mark what lies below a node and says where in an array: subscripts, axes, the counting of layers, f-strings."""
    places: list[ast.AST] = []
    match node:
        case ast.Subscript(_, place):
            places = [place]
        case ast.Call(ast.Attribute(_, name), arguments, keywords):
            # np.roll(x, shift, axis) shifts by a number that counts.
            kept = {"roll": 2, "apply_along_axis": 0}.get(name, 0 if name in BY_AXIS else len(arguments))
            places = [*arguments[kept:], *keywords] if name != "apply_along_axis" else [arguments[1]]
        case ast.Call(ast.Name("range"), arguments):
            places = list(arguments)
        case ast.JoinedStr():
            places = list(node.values)
    for place in places:
        for below in ast.walk(place):
            below.is_place = True  # type: ignore[attr-defined]
