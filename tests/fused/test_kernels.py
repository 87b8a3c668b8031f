"""Launches: what was compiled is found again, and is given what Triton gives it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from jacstrat.fused import has_triton, kernels
from jacstrat.fused.kernels import Kernel, kernel

X, Y = torch.zeros(32), torch.zeros(32)


class Compiled:
    """What Triton gives for a launch, which can be launched again."""

    def __init__(self) -> None:
        self.launches: list[tuple[Any, ...]] = []

    def __getitem__(self, grid: tuple[int, ...]) -> Any:
        return lambda *args: self.launches.append((grid, args))


class Function:
    """A function of Triton that compiles nothing."""

    def __init__(self) -> None:
        self.compiled: list[Compiled] = []
        self.options: dict[str, Any] = {}

    def __getitem__(self, grid: tuple[int, ...]) -> Any:
        def run(*args: Any, **options: Any) -> Compiled:
            self.options = options
            self.compiled.append(Compiled())
            return self.compiled[-1]

        return run


def test_a_launch_like_one_before_is_of_what_was_compiled() -> None:
    function = Function()
    one = Kernel(function, interpreted=False)
    for _ in range(3):
        one.launch((4, 2), (X, Y), (3, 5), {"P": 16, "W": 8}, 4)
    (compiled,) = function.compiled
    assert function.options == {"P": 16, "W": 8, "num_warps": 4, "enable_fp_fusion": True}
    assert compiled.launches == [((4, 2, 1), (X, Y, 3, 5, 16, 8))] * 2


@pytest.mark.parametrize(
    ("tensors", "numbers", "constants", "warps"),
    [
        ((X, Y.double()), (3, 5), {"P": 16}, 4),
        ((X[1:], Y), (3, 5), {"P": 16}, 4),  # 4 bytes behind what is aligned
        ((X, Y), (3, 2**31), {"P": 16}, 4),
        ((X, Y), (3, 5), {"P": 32}, 4),
        ((X, Y), (3, 5), {"P": 16}, 8),
        ((X.to("meta"), Y.to("meta")), (3, 5), {"P": 16}, 4),
    ],
)
def test_what_triton_compiles_apart_is_compiled_apart(
    tensors: tuple[torch.Tensor, ...], numbers: tuple[int, ...], constants: dict[str, int], warps: int
) -> None:
    function = Function()
    one = Kernel(function, interpreted=False)
    for _ in range(2):
        one.launch((4,), (X, Y), (3, 5), {"P": 16}, 4)
        one.launch((4,), tensors, numbers, constants, warps)
    assert [len(compiled.launches) for compiled in function.compiled] == [1, 1]


def test_kinds_of_launches_are_not_kept_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "MOST_COMPILED", 2)
    function = Function()
    one = Kernel(function, interpreted=False)
    for B in (1, 2, 3, 3, 1):
        one.launch((1,), (X,), (B,), {}, 4)
    assert len(function.compiled) == 4  # the third began anew, and the first was forgotten


def test_what_is_interpreted_is_given_no_options() -> None:
    function = Function()
    Kernel(function, interpreted=True).launch((1,), (X,), (3,), {"P": 16}, 4)
    assert function.options == {"P": 16}


TEXT = """import triton
import triton.language as tl


@triton.jit(do_not_specialize=['B'])
def kernel(x, y, B, stride, P: tl.constexpr, FLAG: tl.constexpr):
    rows = tl.program_id(0) * P + tl.arange(0, P)
    v = tl.load(x + rows * stride, mask=rows < B)
    tl.store(y + rows, -v if FLAG else v, mask=rows < B)
"""


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """A driver of Triton that starts nothing, and what it was to start."""
    from triton.backends.compiler import GPUTarget
    from triton.runtime import driver

    calls: list[tuple[Any, ...]] = []

    class Launcher:
        def __init__(self, *of: Any) -> None:
            pass

        def __call__(self, *args: Any) -> None:
            calls.append(args)

    class Utils:
        def load_binary(self, *of: Any) -> tuple[int, ...]:
            return 0, 17, 32, 0, 1024

        def get_device_properties(self, device: int) -> dict[str, int]:
            return {"max_shared_mem": 232448}

    class Driver:
        utils, launcher_cls = Utils(), Launcher

        def get_current_device(self) -> int:
            return 0

        def get_current_stream(self, device: int) -> int:
            return 5

        def get_current_target(self) -> Any:
            return GPUTarget("cuda", 90, 32)

    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(driver, "_active", Driver())
    return calls


@pytest.mark.skipif(not has_triton(), reason="Triton is not installed")
def test_triton_starts_the_same_for_what_was_compiled(launched: list[tuple[Any, ...]]) -> None:
    for _ in range(2):
        kernel(TEXT).launch((2,), (X, Y), (32, 1), {"P": 16, "FLAG": True}, 4)
    # Less what is for a profiler, made at each.
    first, second = ((*call[:6], *call[7:]) for call in launched)
    assert first == second
    assert first[:5] == (2, 1, 1, 5, 17)
    assert first[-6:] == (X, Y, 32, 1, 16, True)
