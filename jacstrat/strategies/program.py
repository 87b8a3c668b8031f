"""A program of TorchInductor, the compiler behind torch.compile, for points of one shape.

The graph is handed to the compiler as it was captured. The front end of torch.compile, TorchDynamo, has nothing to find
in it, and its checks at each call would take longer than a small function does; what it checks is here the
`ProgramSignature`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any, NamedTuple
from warnings import catch_warnings, simplefilter

import torch
from torch import Tensor

from jacstrat.core.errors import JacstratError, UnsupportedError
from jacstrat.strategies.aliases import aliased
from jacstrat.trace.arguments import Args, Function, kinds, lifted
from jacstrat.trace.capture import capture, tensors_of

# What tracers and compilers raise, by the names of their errors, in words with the remedy.
_REMEDIES = {
    "InvalidCxxCompiler": "here: no C++ compiler was found; install g++ or clang, or name one in $CXX",
    "TritonMissing": "here: there is no working Triton; install the triton that this torch wants",
} | dict.fromkeys(
    ("DataDependentOutputException", "GuardOnDataDependentSymNode"),
    "this function: it, or the strategy, asks a tensor for its number, by .item() or an if; use torch.where",
)


class ProgramSignature(NamedTuple):
    """What a program is made for; at other points, or in another mode, it would be wrong."""

    shape: torch.Size
    strides: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device
    requires_grad: bool
    tracked: bool
    threads: int
    autocast: bool
    args: tuple[Hashable, ...] = ()

    @classmethod
    def of(cls, x: Tensor, args: Args = ()) -> ProgramSignature:
        """The signature of a call at x, and further arguments, now."""
        shape, strides, device = x.shape, x.stride(), x.device
        if 1 in shape:  # the stride of such an axis means nothing
            strides = tuple(stride if size > 1 else 0 for size, stride in zip(shape, strides, strict=True))
        tracked = torch.is_grad_enabled()
        autocast = torch.is_autocast_enabled(device.type)
        arg_kinds: tuple[Hashable, ...] = ()
        if args:
            arg_kinds = kinds(lifted(args)) + tuple(
                isinstance(arg, Tensor) and (arg.stride(), arg.requires_grad) for arg in args
            )
        threads = torch.get_num_threads()
        return cls(shape, strides, x.dtype, device, tracked and x.requires_grad, tracked, threads, autocast, arg_kinds)


_Layout = tuple[torch.Size, tuple[int, ...], torch.dtype, torch.device]


@dataclass(frozen=True, eq=False)
class CompiledProgram:
    """(x, *args) -> result, compiled.

    Fields:
        signature: Of the calls that it serves.
        tensors: What else it reads, at each call as it is then.
        layouts: How each of these lies in memory.
        leaves: Which of these a gradient is wanted for.
        call: (x, *those of the arguments that are tensors, *tensors) -> result.
    """

    signature: ProgramSignature
    tensors: tuple[Tensor, ...]
    layouts: tuple[_Layout, ...]
    leaves: tuple[bool, ...]
    call: Callable[..., Tensor]

    @classmethod
    def of(cls, evaluate: Function, x: Tensor, args: Args = ()) -> CompiledProgram:
        """The program of evaluate(x, *args), which has been called at x before.

        Raises:
            Whatever a tracer or a compiler does, see `compiling`.
        """
        from torch._inductor import compile as compiled

        from jacstrat.strategies.passes import LastPasses

        captured = capture(evaluate, x, args)
        signature, tensors = ProgramSignature.of(x, args), captured.tensors
        # What a program would assert of its inputs at each call `serves` has seen; cotangents come from elsewhere.
        options = {"post_grad_custom_post_pass": LastPasses(), "size_asserts": signature.tracked}
        call = compiled(captured.graph, [x, *tensors_of(args), *tensors], options)
        return cls(signature, tensors, _layouts(tensors), tuple(one.requires_grad for one in tensors), call)

    def serves(self, signature: ProgramSignature) -> bool:
        """Whether it is right for a call of this signature."""
        if signature != self.signature or _layouts(self.tensors) != self.layouts:
            return False
        return not signature.tracked or self.leaves == tuple(tensor.requires_grad for tensor in self.tensors)

    def __call__(self, x: Tensor, *args: Any) -> Tensor:
        return self.call(x, *tensors_of(args), *aliased(self.tensors))


def _layouts(tensors: tuple[Tensor, ...]) -> tuple[_Layout, ...]:
    return tuple([(one.shape, one.stride(), one.dtype, one.device) for one in tensors])


@contextmanager
def compiling(device: torch.device) -> Iterator[None]:
    """Where programs are made and called for the first time, by which a part may be compiled, too.

    For the CPU in this process: the workers that TorchInductor keeps for it take their time to start, and would stay
    beside a measurement.

    Raises:
        UnsupportedError: In place of what a tracer or a compiler raises, with the remedy where a compiler is missing.
    """
    from torch._inductor import config

    try:
        with config.patch(compile_threads=1) if device.type == "cpu" else nullcontext(), catch_warnings():
            # Of torch, about what it does itself.
            simplefilter("ignore", FutureWarning)
            yield
    except (JacstratError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise UnsupportedError(_words(error)) from error


def start_compiler(device: torch.device) -> None:
    """Have the compiler do what it does once in a process and on a machine, by a program of one operation.

    It imports itself, finds out what the processor can, and compiles the headers that every kernel includes: seconds,
    which would be put down to the first function. What fails here fails again there, and is told there.
    """
    x = torch.zeros(1, device=device)
    with suppress(UnsupportedError), torch.no_grad(), compiling(device):
        CompiledProgram.of(torch.exp, x)(x)


def _words(error: Exception) -> str:
    """What is the matter, in one line."""
    causes: list[Any] = [error]
    while (cause := getattr(causes[-1], "inner_exception", None) or causes[-1].__cause__) and cause not in causes:
        causes.append(cause)
    for cause in causes:
        if words := _REMEDIES.get(type(cause).__name__):
            return f"torch cannot compile {words}"
    text = next((line.strip() for line in str(causes[-1]).splitlines() if line.strip()), "no message")
    return f"torch cannot compile this function: {type(causes[-1]).__name__}: {text[:200]}"
