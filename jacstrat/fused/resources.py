"""What a kernel takes of a multiprocessor: compiled for a card that need not be there."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jacstrat.fused.kernels import kernel


class Resources(NamedTuple):
    """What one program of a kernel takes.

    Fields:
        shared_bytes: Shared memory.
        registers: Of a thread.
        stack_bytes: Of a thread, in memory: registers that were spilled.
        products: Instructions that multiply matrices, by name.
    """

    shared_bytes: int
    registers: int
    stack_bytes: int
    products: frozenset[str]


def resources(
    text: str, types: Sequence[str], constants: Mapping[str, int], warps: int, capability: int = 90
) -> Resources:
    """What a kernel takes on a CUDA card, by Triton's compiler and the tools of CUDA that it brings.

    Args:
        text: Of the module that has it.
        types: Of its arguments in their order, as Triton writes them ("*fp32", "i32"), less those that are constants.
        constants: By name.
        warps: Of a program.
        capability: Of the card: 90 is an H100.
    """
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    function = kernel(text).function
    names = [name for name in function.arg_names if name not in constants]
    signature = dict(zip(names, types, strict=True)) | dict.fromkeys(constants, "constexpr")
    pointers = (position for position, name in enumerate(function.arg_names) if signature[name][0] == "*")
    aligned = {(position,): [["tt.divisibility", 16]] for position in pointers}
    source = ASTSource(function, signature, constexprs=dict(constants), attrs=aligned)
    options: dict[str, Any] = {"num_warps": warps, "enable_fp_fusion": True}
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    registers_and_stack = _registers_and_stack(compiled.asm["cubin"])
    products = frozenset(re.findall(r"\b(wgmma|mma)\.\S*?sync\S*?\.(?:f64|tf32|bf16|f16)", compiled.asm["ptx"]))
    return Resources(compiled.metadata.shared, *registers_and_stack, products)


def _registers_and_stack(cubin: bytes) -> tuple[int, int]:
    """Registers and bytes of the stack of a thread."""
    import triton

    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "kernel.cubin"
        file.write_bytes(cubin)
        command = [str(tool), "--dump-resource-usage", str(file)]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
    registers, stack = re.search(r"REG:(\d+) STACK:(\d+)", run.stdout).groups()  # type: ignore[union-attr]
    return int(registers), int(stack)
