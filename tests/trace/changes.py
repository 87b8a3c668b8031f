"""Functions as people write them, each with a change of what it does."""

from __future__ import annotations

import enum
import functools
import math
import random
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from jacstrat.core.operator import OPERATORS
from jacstrat.strategies.reduction import OutputForm, reduction
from jacstrat.taylor import Scalar

X = torch.rand(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
SCALE = 2.0
CONFIG = types.ModuleType("config")
CONFIG.scale = 2.0  # type: ignore[attr-defined]
CONFIG.inner = types.ModuleType("config.inner")  # type: ignore[attr-defined]
CONFIG.inner.scale = 2.0  # type: ignore[attr-defined]
CHOICE: Any = torch.sin

Case = tuple[Callable[[Tensor], Tensor], Callable[[], object]]


def helper(x: Tensor) -> Tensor:
    return SCALE * x


def set_global(name: str, value: Any) -> Callable[[], object]:
    return lambda: globals().__setitem__(name, value)


class Block(nn.Module):
    """What people write: a number, a list, a switch, a helper, a buffer and a parameter."""

    factor = 1.5

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4).double()
        self.scale = 2.0
        self.powers = [2, 3]
        self.settings = {"bias": 0.5}
        self.register_buffer("shift", torch.ones(4, dtype=torch.float64))

    def extra(self, x: Tensor) -> Tensor:
        return x.cos()

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x).tanh() * self.scale * self.factor + self.shift * self.extra(x) + self.settings["bias"] * x
        y = sum(y**p for p in self.powers)
        return (y if self.training else 2 * y).prod(-1)


class Louder(Block):
    """A method in the place of an inherited one."""

    def extra(self, x: Tensor) -> Tensor:
        return super().extra(x) * 2


def changed_float() -> Case:
    scale = 2.0

    def change() -> None:
        nonlocal scale
        scale = 3.0

    return (lambda x: (scale * x).sin().sum(-1)), change


def changed_sign_of_zero() -> Case:
    zero = 0.0

    def change() -> None:
        nonlocal zero
        zero = -0.0

    return (lambda x: (x * x * math.copysign(1.0, zero)).sum(-1)), change


def changed_closure_function() -> Case:
    inner = torch.sin

    def change() -> None:
        nonlocal inner
        inner = torch.exp

    return (lambda x: inner(x).sum(-1)), change


def changed_default() -> Case:
    def f(x: Tensor, scale: float = 2.0) -> Tensor:
        return (scale * x).sin().sum(-1)

    return f, lambda: setattr(f, "__defaults__", (3.0,))


def changed_code() -> Case:
    def f(x: Tensor) -> Tensor:
        return x.sin().sum(-1)

    def g(x: Tensor) -> Tensor:
        return x.exp().sum(-1)

    return f, lambda: setattr(f, "__code__", g.__code__)


def changed_function_attribute() -> Case:
    def f(x: Tensor) -> Tensor:
        return (f.scale * x).sin().sum(-1)  # type: ignore[attr-defined]

    f.scale = 2.0  # type: ignore[attr-defined]
    return f, lambda: setattr(f, "scale", 3.0)


def changed_list() -> Case:
    powers = [2.0]
    return (lambda x: sum((x**p).sum(-1) for p in powers)), lambda: powers.append(3.0)


def changed_dict() -> Case:
    settings = {"a": {"b": 2.0}}
    return (lambda x: (settings["a"]["b"] * x).sin().sum(-1)), lambda: settings["a"].update(b=3.0)


def changed_partial() -> Case:
    f = functools.partial(lambda x, power: (x**power).sum(-1), power=2)
    return f, lambda: f.keywords.update(power=3)


def replaced_tensor() -> Case:
    weights = [torch.ones(4, dtype=torch.float64)]
    return (lambda x: (weights[0] * x).sin().sum(-1)), lambda: weights.__setitem__(0, weights[0] * 3)


def written_tensor() -> Case:
    w = torch.ones(4, dtype=torch.float64)
    return (lambda x: (w * x).sin().sum(-1)), lambda: w.mul_(3)


def tensor_with_other_data() -> Case:
    w = torch.ones(4, dtype=torch.float64)
    return (lambda x: (w * x).sin().sum(-1)), lambda: setattr(w, "data", 3 * torch.ones(1, dtype=torch.float64))


def with_block(change: Callable[[Block], object], kind: type[Block] = Block) -> Callable[[], Case]:
    def make() -> Case:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            block = kind()
        return (lambda x: block(x)), lambda: change(block)

    return make


def method_of_module() -> Case:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        block = Block()
    return block.forward, lambda: setattr(block, "scale", 3.0)


def attribute_of_class() -> Case:
    class Reader(nn.Module):
        number = 2.0

        def read(self) -> float:
            return self.number

    reader = Reader()
    return (lambda x: (reader.read() * x).sin().sum(-1)), lambda: setattr(Reader, "number", 3.0)


# What is understood: the tape is kept, and is not used any more once something has changed.
def literal_of_a_tensor() -> Case:
    w = torch.full((), 2.0, dtype=torch.float64)
    return (lambda x: (torch.as_tensor([w]) * x).sin().sum(-1)), lambda: w.mul_(3)


UNDERSTOOD: dict[str, Callable[[], Case]] = {
    "closure float": changed_float,
    "sign of zero": changed_sign_of_zero,
    "closure function": changed_closure_function,
    "default": changed_default,
    "code": changed_code,
    "function attribute": changed_function_attribute,
    "list": changed_list,
    "dict": changed_dict,
    "partial": changed_partial,
    "replaced tensor": replaced_tensor,
    "written tensor": written_tensor,
    "literal of a tensor": literal_of_a_tensor,
    "tensor with other data": tensor_with_other_data,
    "global float": lambda: ((lambda x: (SCALE * x).sin().sum(-1)), set_global("SCALE", 3.0)),
    "global of a helper": lambda: ((lambda x: helper(x).sin().sum(-1)), set_global("SCALE", 3.0)),
    "global function": lambda: ((lambda x: CHOICE(x).sum(-1)), set_global("CHOICE", torch.exp)),
    "attribute of a module of Python": lambda: (
        (lambda x: (CONFIG.scale * x).sin().sum(-1)),
        lambda: setattr(CONFIG, "scale", 3.0),
    ),
    "attribute of a module in a module": lambda: (
        (lambda x: (CONFIG.inner.scale * x).sin().sum(-1)),
        lambda: setattr(CONFIG.inner, "scale", 3.0),
    ),
    "shadowed builtin": lambda: ((lambda x: (x * len([1, 2])).sin().sum(-1)), set_global("len", lambda _: 3)),
    "net.eval()": with_block(lambda block: block.eval()),
    "number of a module": with_block(lambda block: setattr(block, "scale", 3.0)),
    "list of a module": with_block(lambda block: block.powers.append(1)),
    "dict of a module": with_block(lambda block: block.settings.update(bias=2.0)),
    "parameter replaced": with_block(
        lambda block: setattr(block.layer, "weight", nn.Parameter(2 * block.layer.weight))
    ),
    "parameter removed": with_block(lambda block: setattr(block.layer, "bias", None)),
    "parameter written": with_block(lambda block: block.layer.weight.data.mul_(2)),
    "buffer replaced": with_block(lambda block: setattr(block, "shift", 3 * block.shift)),
    "layer replaced": with_block(lambda block: setattr(block, "layer", nn.Linear(4, 4).double())),
    "activation replaced": with_block(lambda block: setattr(block, "extra", torch.exp)),
    "forward of an object": with_block(lambda block: setattr(block, "forward", lambda x: x.exp().sum(-1))),
    "forward of a layer": with_block(lambda block: setattr(block.layer, "forward", lambda x: x.exp())),
    "other class": with_block(lambda block: setattr(block, "__class__", Louder)),
    "method": method_of_module,
    "attribute of a class": attribute_of_class,
    "tensor of a module": with_block(lambda block: setattr(block, "factor", 2 * torch.ones(4, dtype=torch.float64))),
    "class of its own": with_block(lambda block: setattr(block, "scale", 0.5), Louder),
}


def unhook(block: Block) -> object:
    return block.layer.register_forward_hook(lambda module, args, out: 2 * out)


class Settings:
    """An object of no known kind."""

    scale = 2.0


def of_object() -> Case:
    settings = Settings()
    return (lambda x: (settings.scale * x).sin().sum(-1)), lambda: setattr(settings, "scale", 3.0)


def of_enumeration() -> Case:
    chosen = enum.Enum("Chosen", {"one": 2.0, "other": 3.0})
    value = chosen.one

    def change() -> None:
        nonlocal value
        value = chosen.other

    return (lambda x: (value.value * x).sin().sum(-1)), change


def of_array() -> Case:
    array = np.full(4, 2.0)
    return (lambda x: (float(array[0]) * x).sin().sum(-1)), lambda: array.fill(3.0)


def of_iterator() -> Case:
    numbers = iter([1.0] * 3 + [2.0] * 99)
    return (lambda x: (x * next(numbers)).square().sum(-1) * 0 + x.sin().sum(-1)), lambda: None


def by_computed_name() -> Case:
    return (lambda x: (getattr(CONFIG, "sca" + "le") * x).sin().sum(-1)), lambda: setattr(CONFIG, "scale", 3.0)


def by_import() -> Case:
    def f(x: Tensor) -> Tensor:
        import tests.trace.changes as here

        return (here.SCALE * x).sin().sum(-1)

    return f, set_global("SCALE", 3.0)


def by_globals() -> Case:
    return (lambda x: (globals()["SCALE"] * x).sin().sum(-1)), set_global("SCALE", 3.0)


def numbers_of_a_tensor() -> Case:
    w = torch.full((1,), 2.0, dtype=torch.float64)
    return (lambda x: (w.tolist()[0] * x).sin().sum(-1)), lambda: w.mul_(3)


def attribute_of_a_tensor() -> Case:
    w = torch.ones(4, dtype=torch.float64)
    w.scale = 2.0  # type: ignore[attr-defined]
    return (lambda x: (w.scale * x).sin().sum(-1)), lambda: setattr(w, "scale", 3.0)


def module_of_python_in_a_closure() -> Case:
    config = CONFIG
    return (lambda x: (config.scale * x).sin().sum(-1)), lambda: setattr(config, "scale", 3.0)


# What is not understood: no tape is kept.
UNDERSTOOD["object"] = of_object
OPAQUE: dict[str, Callable[[], Case]] = {
    "hook": lambda: (
        (case := with_block(unhook)())[0],
        case[1],
    ),
    "iterator": of_iterator,
    "enumeration": of_enumeration,
    "array": of_array,
    "computed name": by_computed_name,
    "import": by_import,
    "globals()": by_globals,
    "numbers of a tensor": numbers_of_a_tensor,
    "attribute of a tensor": attribute_of_a_tensor,
    "module of Python in a closure": module_of_python_in_a_closure,
    "random numbers of Python": lambda: ((lambda x: x.sin().sum(-1) + 0 * random.random()), lambda: None),
}


def put_back() -> None:
    """What the cases change for all."""
    globals().update(SCALE=2.0, CHOICE=torch.sin)
    globals().pop("len", None)
    CONFIG.scale = CONFIG.inner.scale = 2.0  # type: ignore[attr-defined]


def scalar(f: Callable[[Tensor], Tensor], x: Tensor) -> Scalar:
    """f as the operator has it, which is not called."""
    reduced, _ = reduction(OPERATORS["laplacian"], f, x, (), 1, needs_scalar=False, form=OutputForm(None, False))
    return Scalar(reduced.function)


def is_traced(f: Callable[[Tensor], Tensor], x: Tensor) -> bool:
    """Whether the operator would find a tape."""
    return scalar(f, x).is_traced(x)
