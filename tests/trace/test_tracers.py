"""Who follows what is done is told where he is, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.fx.experimental.proxy_tensor import make_fx

from jacstrat.trace.tracers import has_hooks, has_modes, is_proxied, is_transformed, is_wrapped, outside_hooks

X = torch.ones(3, 2)


def seen(run: Callable[[Callable[[Tensor], Tensor]], object]) -> tuple[bool, bool, bool, bool]:
    """What a function is told that is called in some way, or other."""
    told: list[tuple[bool, bool, bool, bool]] = []

    def f(x: Tensor) -> Tensor:
        told.append((is_transformed(), is_wrapped(x), has_modes(), is_proxied()))
        return x.sin().sum()

    run(f)
    return told[-1]


def test_nobody() -> None:
    assert seen(lambda f: f(X)) == (False, False, False, False)


@pytest.mark.parametrize("transform", [torch.func.vmap, torch.func.grad, torch.func.functionalize])
def test_a_transform(transform: Callable[[Callable[[Tensor], Tensor]], Callable[[Tensor], Tensor]]) -> None:
    assert seen(lambda f: transform(f)(X)) == (True, True, False, False)


def test_a_transform_that_is_stepped_out_of() -> None:
    def outside(f: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def within(x: Tensor) -> Tensor:
            with temporarily_clear_interpreter_stack():
                f(X)
            return x.sum()

        return within

    assert seen(lambda f: torch.func.vmap(outside(f))(X)) == (False, False, False, False)


def test_a_mode() -> None:
    def run(f: Callable[[Tensor], Tensor]) -> None:
        with FakeTensorMode() as mode:
            f(mode.from_tensor(X))

    assert seen(run) == (False, False, True, False)


def test_a_graph_that_is_written_down() -> None:
    assert seen(lambda f: make_fx(f)(X)) == (False, False, True, True)


def test_a_compiler_is_told_of_no_transform_where_there_is_none() -> None:
    def f(x: Tensor) -> Tensor:
        return x + 1 if is_transformed() else x + 2

    compiled = torch.compile(f, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(X), X + 2)
    torch.testing.assert_close(torch.compile(torch.func.vmap(f), backend="eager", fullgraph=True)(X), X + 1)


def test_hooks_are_set_aside_and_put_back() -> None:
    saved: list[Tensor] = []

    def pack(tensor: Tensor) -> Tensor:
        saved.append(tensor)
        return tensor

    assert not has_hooks()
    x = X.clone().requires_grad_()
    with saved_tensors_hooks(pack, lambda t: t), saved_tensors_hooks(pack, lambda t: t):
        assert has_hooks()
        with outside_hooks():
            assert has_hooks()
            torch.func.grad(lambda x: (x * x).sum())(x)  # which refuses hooks
            with outside_hooks():
                x.sin()
        assert saved == []
        x.sin()
        assert len(saved) == 1
    assert not has_hooks()
