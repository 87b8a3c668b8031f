"""The source of a random program: what is run is what is shown."""

from __future__ import annotations

import dis
import functools
import inspect
import linecache
import textwrap
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from tests.compositions.heads import Head
from tests.compositions.operations import Operation


class Source:
    """The source of a function that is being written, and what its names stand for."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names: dict[str, Any] = {}
        self.used: list[Operation | Head] = []

    def call(self, target: str, operation: Operation | Head, arguments: list[str], drawn: dict[str, Any]) -> None:
        """Write a call of an operation; what has no short literal gets a name."""
        self.used.append(operation)
        self.names[operation.name] = operation.function
        keywords = [f"{key}={self._literal(value)}" for key, value in drawn.items()]
        self.lines.append(f"{target} = {operation.name}({', '.join([*arguments, *keywords])})")

    def _literal(self, value: Any) -> str:
        if not isinstance(value, Tensor | nn.Module):
            return "torch.inf" if value == float("inf") else repr(value)
        kind = "net" if isinstance(value, nn.Module) else "p" if value.requires_grad else "c"
        name = f"{kind}{sum(key.startswith(kind) and key[len(kind) :].isdigit() for key in self.names)}"
        self.names[name] = value
        return name

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        """The leaves among the values, and those of the modules."""
        leaves: list[Tensor] = []
        for value in self.names.values():
            if isinstance(value, nn.Module):
                leaves += value.parameters()
            elif isinstance(value, Tensor) and value.requires_grad:
                leaves.append(value)
        return tuple(leaves)

    def function(self, seed: int) -> Callable[[Tensor], Tensor]:
        """The function as it stands, compiled."""
        source = "def f(x):\n" + textwrap.indent("\n".join([*self.lines, "return y"]), "    ") + "\n"
        file = f"<program {seed}>"
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
        scope = {"torch": torch, "__name__": __name__, **self.names}
        exec(compile(source, file, "exec"), scope)
        return scope["f"]

    def text(self) -> str:
        """Definitions of the operations, values, and the function."""
        helpers = {helper.__name__: helper for one in self.used for helper in _helpers(one.function)}
        definitions = [textwrap.dedent(inspect.getsource(helper)).rstrip() for helper in helpers.values()]
        definitions += [_definition(operation) for operation in dict.fromkeys(self.used)]
        values = [
            f"{name} = {_shown(value)}"
            for name, value in self.names.items()
            if not callable(value) or isinstance(value, nn.Module)
        ]
        body = textwrap.indent("\n".join([*self.lines, "return y"]), "    ")
        return "\n".join([*definitions, *values, "def f(x):", body])


@functools.cache
def _definition(operation: Operation | Head) -> str:
    """The source of an operation without its decorators; of torch's own, where it is."""
    function = operation.function
    if not inspect.isfunction(function) or not function.__module__.startswith("tests."):
        return f"{operation.name} = {getattr(function, '__module__', None) or 'torch'}.{function.__name__}"
    source = textwrap.dedent(inspect.getsource(function))
    return source[source.index("def ") :].rstrip()


@functools.cache
def _helpers(function: Callable[..., Any]) -> tuple[Any, ...]:
    """Functions and classes of the table's modules that an operation calls, those first that others of them call."""
    if not inspect.isfunction(function):
        return ()
    read = {one.argval for one in dis.get_instructions(function) if one.opname == "LOAD_GLOBAL"}
    named = [function.__globals__.get(name) for name in sorted(read)]
    direct = [one for one in named if getattr(one, "__module__", "").startswith(__package__ or "tests")]
    return (*(inner for one in direct for inner in _helpers(one)), *direct)


def _shown(value: Any) -> str:
    if isinstance(value, nn.Module):
        return " ".join(repr(value).split())
    flag = ".requires_grad_()" if value.requires_grad else ""
    numbers = value.detach().tolist() if value.dtype != torch.float64 else rounded(value.detach().tolist())
    return f"torch.tensor({numbers}){flag}  # {tuple(value.shape)}"


def rounded(numbers: Any) -> Any:
    """Nested lists of numbers, short enough to be read."""
    return [rounded(one) for one in numbers] if isinstance(numbers, list) else round(numbers, 4)
