"""What a function holds: the modules in its closure, its globals and its bindings, and those that are in training."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import partial

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

# Functions called by functions called by f: enough for a field that calls a helper that calls a network.
DEPTH = 3


def modules(f: object) -> dict[str, nn.Module]:
    """The modules that f is (named "") or refers to by a name, itself or in the functions that it calls."""
    return {name: value for name, value in _reached(f, "", DEPTH, set()) if isinstance(value, nn.Module)}


def mixing(f: object) -> str | None:
    """A layer of f in training mode that mixes rows for as long as it is, as "net.1 (BatchNorm1d)"; None without."""
    return _training(f, lambda layer: isinstance(layer, _BatchNorm))


def random(f: object) -> str | None:
    """A layer of f in training mode that drops at random for as long as it is; None without."""
    return _training(f, lambda layer: isinstance(layer, _DropoutNd) or _rate(layer) > 0)


def _rate(layer: nn.Module) -> float:
    """The rate of dropout that an attention or a recurrent layer has of its own."""
    rate = getattr(layer, "dropout", 0)
    return rate if isinstance(rate, float | int) else 0


def _training(f: object, test: Callable[[nn.Module], bool]) -> str | None:
    for name, module in modules(f).items():
        for path, layer in module.named_modules():
            if layer.training and test(layer):
                where = f"{name}.{path}".strip(".") if name else f"layer {path}" if path else "f"
                return f"{where} ({type(layer).__name__})"
    return None


def inputs(f: object) -> list[int]:
    """The numbers of inputs of the first linear layer of each module that f holds."""
    firsts = (next((m for m in module.modules() if isinstance(m, nn.Linear)), None) for module in modules(f).values())
    return [linear.in_features for linear in firsts if linear is not None]


def _reached(value: object, name: str, depth: int, seen: set[int]) -> Iterator[tuple[str, object]]:
    if id(value) in seen or depth < 0:
        return
    seen.add(id(value))
    yield name, value
    for inner, part in _parts(value).items():
        yield from _reached(part, inner, depth - 1, seen)


def _parts(value: object) -> dict[str, object]:
    """What a callable is made of, by name."""
    if isinstance(value, partial):
        return {"": value.func, **{str(i): part for i, part in enumerate(value.args)}, **value.keywords}
    if inspect.ismethod(value):
        return {"": value.__func__, "self": value.__self__}
    if inspect.isfunction(value):
        try:
            variables = inspect.getclosurevars(value)
        except ValueError:  # a cell that is empty
            return {}
        return {**variables.globals, **variables.nonlocals}
    if not isinstance(value, nn.Module) and callable(value) and hasattr(value, "__dict__"):
        return vars(value)
    return {}
