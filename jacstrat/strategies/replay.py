"""Calls as replays: a callable captured in graphs of a device, one for the result and one for the way back.

A graph reads its inputs where they lay when it was captured, and writes its result where that lay. So points and
arguments are copied in, and what comes out is copied: a result is the caller's, whatever is replayed after it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from jacstrat.graphs import WARM_UPS, Backend, DeviceGraph, recorded
from jacstrat.strategies.aliases import Aliases
from jacstrat.trace.arguments import Args, Function, kinds

# What is copied into a graph at each call: points, and arguments that are tensors or fractions.
InputValues = Sequence[Tensor | float]


class GraphSignature(NamedTuple):
    """What a graph is captured for; strides are none of it, since inputs are copied."""

    shape: torch.Size
    dtype: torch.dtype
    device: torch.device
    tracked: bool
    autocast: torch.dtype | None
    args: tuple[Hashable, ...]
    requires_grad: tuple[bool, ...]

    @classmethod
    def of(cls, x: Tensor, args: Args = ()) -> GraphSignature:
        """The signature of a call at x, and further arguments, now."""
        tracked, device = torch.is_grad_enabled(), x.device.type
        autocast = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
        leaves: tuple[bool, ...] = (tracked and x.requires_grad,)
        if not args:
            return cls(x.shape, x.dtype, x.device, tracked, autocast, (), leaves)
        arg_kinds = tuple(float if type(arg) is float else kind for arg, kind in zip(args, kinds(args), strict=True))
        leaves += tuple(tracked and isinstance(one, Tensor) and one.requires_grad for one in args)
        return cls(x.shape, x.dtype, x.device, tracked, autocast, arg_kinds, leaves)


@dataclass(frozen=True, eq=False)
class Closure:
    """The tensors that captured work reads beside its inputs, where they lay.

    Fields:
        tensors: They.
        memory: The same memory, kept as long as a graph may read it.
        places: The addresses of it.
        requires_grad: Whether each did.
        numbers: Those on another device, whose numbers a graph has instead of their addresses, with their versions.
    """

    tensors: tuple[Tensor, ...]
    memory: tuple[Tensor, ...]
    places: list[int]
    requires_grad: list[bool]
    numbers: tuple[tuple[Tensor, int], ...]

    @classmethod
    def of(cls, tensors: tuple[Tensor, ...], device: torch.device) -> Closure:
        """These tensors as they are now, for work on a device."""
        memory = tuple(tensor.detach() for tensor in tensors)
        numbers = tuple((tensor, _version(tensor)) for tensor in tensors if tensor.device != device)
        return cls(tensors, memory, _places(tensors), [tensor.requires_grad for tensor in tensors], numbers)

    @property
    def wanted(self) -> list[Tensor]:
        """Those that a gradient is wanted for."""
        return [tensor for tensor, wanted in zip(self.tensors, self.requires_grad, strict=True) if wanted]

    def is_stale(self, tracked: bool) -> bool:
        """Whether one was moved, or requires grad where it did not."""
        if _places(self.tensors) != self.places:
            return True
        if tracked and [tensor.requires_grad for tensor in self.tensors] != self.requires_grad:
            return True
        return any(_version(tensor) != version for tensor, version in self.numbers)


class Replay:
    """(x, *args) -> result, by replays for calls of one signature.

    Where gradients are tracked there is a second graph, for the way back. It goes by what the last replay of the first
    has left; for a result of an earlier one the first is replayed again before.

    Args:
        backend: What captures.
        signature: Of the calls to come.
        evaluate: What is captured; it was called before at inputs like these.
        x, args: Inputs, as `inputs_of` gives them for such a call.
        closure: What else it reads.

    Raises:
        UnsupportedError: It cannot be captured; says why.
    """

    def __init__(
        self, backend: Backend, signature: GraphSignature, evaluate: Function, x: Tensor, args: Args, closure: Closure
    ) -> None:
        self.signature, self.closure = signature, closure
        self._inputs = inputs_of(x, args)
        self._turn = 0
        self._backward: DeviceGraph | None = None
        self._cotangent: Tensor | None = None
        inputs, input_args = self._inputs[0], placed(args, self._inputs[1:])
        with _uncached_autocast(x.device.type):
            if self.signature.tracked:
                self._capture_both(backend, lambda: evaluate(inputs, *input_args))
            else:
                work = _same(lambda: evaluate(inputs, *input_args))
                backend.warm_up(work, WARM_UPS)
                self._forward = recorded(work, backend)

    def _capture_both(self, backend: Backend, evaluate: Callable[[], Tensor]) -> None:
        wanted, aliases = self.closure.wanted, Aliases(self.closure.wanted)
        inputs = [one for one in self._inputs if one.requires_grad]
        # Originals, too, for what takes them past their aliases: a gradient is the sum of both.
        leaves = [*inputs, *map(aliases.of, wanted), *wanted]
        graphs: list[Tensor] = []

        def there() -> Tensor:
            with aliases:
                y = evaluate()
            graphs[:] = [y]
            return y.detach()

        def back() -> list[Tensor | None]:
            (y,) = graphs
            gradients = torch.autograd.grad(y, leaves, self._cotangent, allow_unused=True)
            count = len(inputs)
            pairs = zip(gradients[count : count + len(wanted)], gradients[count + len(wanted) :], strict=True)
            return [*gradients[:count], *(_sum(*pair) for pair in pairs)]

        def step() -> None:
            y = there()
            if graphs[0].requires_grad:
                self._cotangent = torch.ones_like(y) if self._cotangent is None else self._cotangent
                back()

        backend.warm_up(step, WARM_UPS)
        self._forward = recorded(there, backend)
        if graphs[0].requires_grad:
            self._backward = recorded(back, backend)

    @property
    def bytes(self) -> int:
        """Memory that it keeps."""
        tensors = [*self._inputs, *([] if self._cotangent is None else [self._cotangent])]
        graphs = self._forward.bytes + (self._backward.bytes if self._backward else 0)
        return graphs + sum(tensor.numel() * tensor.itemsize for tensor in tensors)

    def serves(self, signature: GraphSignature) -> bool:
        """Whether it is for calls of this signature."""
        return signature == self.signature

    @property
    def is_stale(self) -> bool:
        """Whether what it reads is elsewhere by now."""
        return self.closure.is_stale(self.signature.tracked)

    def __call__(self, x: Tensor, *args: Any) -> Tensor:
        values = values_of(x, args)
        if self._backward is None:
            return self.run(values)
        result: Tensor = _Replayed.apply(self, *values, *self.closure.tensors)
        return result

    def run(self, values: InputValues) -> Tensor:
        """The result at these inputs."""
        with torch.no_grad():
            for placed_input, value in zip(self._inputs, values, strict=True):
                placed_input.copy_(value) if isinstance(value, Tensor) else placed_input.fill_(value)
            self._turn += 1
            result = self._forward()
            assert isinstance(result, Tensor)
            return result.clone()

    @property
    def turn(self) -> int:
        """The number of the latest run."""
        return self._turn

    def back(self, values: InputValues, turn: int, cotangent: Tensor) -> list[Tensor | None]:
        """The gradients of inputs and of the closure, None where there is none.

        Args:
            values, turn: Of the run whose result the cotangent is of.
        """
        assert self._backward is not None
        assert self._cotangent is not None
        if turn != self._turn:
            self.run(values)
        self._cotangent.copy_(cotangent)
        backward = self._backward()
        assert isinstance(backward, list)
        left = iter(backward)
        places = [*(one.requires_grad for one in self._inputs), *self.closure.requires_grad]
        gradients = [next(left) if wanted else None for wanted in places]
        return [None if g is None else g.clone() for g in gradients]


class _Replayed(torch.autograd.Function):
    """A replay to autograd: of its inputs, and of all that it reads."""

    @staticmethod
    def forward(ctx: Any, replay: Replay, *values: Tensor | float) -> Tensor:
        count = len(values) - len(replay.closure.tensors)
        result = replay.run(values[:count])
        ctx.replay, ctx.turn, ctx.count = replay, replay.turn, count
        # What the way back reads is to be as it was: torch raises where it was written into meanwhile.
        ctx.save_for_backward(*(one for one in values if isinstance(one, Tensor) and not one.is_inference()))
        ctx.values = [None if isinstance(one, Tensor) else one for one in values[:count]]
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, cotangent: Tensor) -> Any:
        saved = iter(ctx.saved_tensors)
        values = [next(saved) if value is None else value for value in ctx.values]
        return (None, *ctx.replay.back(values, ctx.turn, cotangent))


def values_of(x: Tensor, args: Args) -> InputValues:
    """What is copied in for a call."""
    return [x, *(arg for arg in args if _is_copied(arg))]


def inputs_of(x: Tensor, args: Args) -> list[Tensor]:
    """Inputs of a graph, with the numbers of these: contiguous leaves of its own, numbers as tensors of the device."""
    tracked, inputs = torch.is_grad_enabled(), []
    for value in values_of(x, args):
        if isinstance(value, Tensor):
            device = x.device if value.dim() == 0 else value.device
            copy = torch.empty(value.shape, dtype=value.dtype, device=device)
            copy.copy_(value.detach())
            inputs.append(copy.requires_grad_(tracked and value.requires_grad))
        else:
            inputs.append(torch.full((), value, dtype=torch.float64, device=x.device))
    return inputs


def placed(args: Args, inputs: Sequence[Tensor]) -> Args:
    """Arguments with inputs of a graph in the places of those that are copied."""
    left = iter(inputs)
    return tuple(next(left) if _is_copied(arg) else arg for arg in args)


def _is_copied(arg: object) -> bool:
    return isinstance(arg, Tensor) or type(arg) is float


def _same(work: Callable[[], Tensor]) -> Callable[[], Tensor]:
    return lambda: work().detach()


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return b if a is None else a if b is None else a + b


def _places(tensors: tuple[Tensor, ...]) -> list[int]:
    return [tensor.data_ptr() for tensor in tensors]


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version


@contextmanager
def _uncached_autocast(device: str) -> Iterator[None]:
    """Autocast as it is, without the copies of weights that it keeps: a replay would read those of the capture."""
    if not torch.is_autocast_enabled(device):
        yield
        return
    with torch.autocast(device, torch.get_autocast_dtype(device), cache_enabled=False):
        yield
