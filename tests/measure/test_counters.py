"""Counts against what the algebra says, for products, operations, FLOPs and bytes."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from jacstrat.measure.counters import count
from jacstrat.measure.memory import StorageMode, peak_bytes

N, B = 5, 3
W = torch.randn(N, N, dtype=torch.float64)
X = torch.randn(B, N, dtype=torch.float64)


def field(x):
    return torch.tanh(x @ W)


def counted(use, x=X, f=field):
    """Counts of `use(f, x)`."""
    return count(lambda g: lambda: use(g, x), f, x)


def passes(counts):
    return counts.f_evaluations, counts.vjp_products, counts.jvp_products


def test_an_evaluation() -> None:
    counts = counted(lambda f, x: f(x))
    assert passes(counts) == (1, 0, 0)
    assert counts.aten_ops == 2
    assert counts.flops == 2 * B * N * N


@pytest.mark.parametrize("x", [X, X[0], X[:0]], ids=["batch", "point", "empty"])
def test_a_vjp_and_a_jvp(x) -> None:
    reverse = counted(lambda f, x: torch.func.vjp(f, x)[1](torch.ones_like(x)), x)
    forward = counted(lambda f, x: torch.func.jvp(f, (x,), (torch.ones_like(x),)), x)
    if x.numel():
        assert passes(reverse) == (1, 1, 0)
        assert passes(forward) == (1, 0, 1)
    else:
        assert passes(reverse) == passes(forward) == (0, 0, 0)


def test_batched_products_count_each_probe() -> None:
    eye = torch.eye(N, dtype=X.dtype)

    def reverse(f, x):
        pull = torch.func.vjp(f, x)[1]
        return torch.func.vmap(lambda v: pull(v.expand_as(x)))(eye)

    def forward(f, x):
        return torch.func.vmap(lambda v: torch.func.jvp(f, (x,), (v.expand_as(x),)))(eye)

    assert passes(counted(reverse)) == (1, N, 0)
    assert passes(counted(forward)) == (1, 0, N)


def test_per_point_transforms_count_per_point() -> None:
    assert passes(counted(lambda f, x: torch.func.vmap(torch.func.jacrev(f))(x))) == (1, N, 0)
    assert passes(counted(lambda f, x: torch.func.vmap(torch.func.jacfwd(f))(x))) == (1, 0, N)
    nested = counted(lambda f, x: torch.func.vmap(torch.func.hessian(lambda p: f(p).sum()))(x))
    assert passes(nested) == (1, 1, N)


def test_plain_autograd_counts_each_call_of_grad() -> None:
    def use(f, x):
        x = x.clone().requires_grad_()
        y = f(x)
        for _ in range(4):
            torch.autograd.grad(y, x, torch.ones_like(y), retain_graph=True)

    assert passes(counted(use)) == (1, 4, 0)


@pytest.mark.parametrize("tracked", [True, False])
def test_a_module_whose_parameters_require_grad(tracked: bool) -> None:
    net = torch.nn.Sequential(torch.nn.Linear(N, 7), torch.nn.Tanh(), torch.nn.Linear(7, N)).double()

    def use(f, x):
        x = x.clone().requires_grad_()
        with torch.enable_grad():
            y = f(x)
        torch.autograd.grad(y, x, torch.ones_like(y), create_graph=tracked)

    counts = counted(use, f=net)
    assert passes(counts) == (1, 1, 0)
    # Forward 2 (N 7 + 7 N) a row, backward to x as much again.
    assert counts.flops == 2 * 2 * B * 2 * N * 7


def test_flops_are_those_of_torchs_own_counter() -> None:
    def use(f, x):
        return torch.func.vmap(torch.func.hessian(lambda p: f(p).sum()))(x)

    with FlopCounterMode(display=False) as expected:
        use(field, X)
    assert counted(use).flops == expected.get_total_flops() > 0


def test_counting_changes_no_result() -> None:
    seen = []
    counted(lambda f, x: seen.append(torch.func.vmap(torch.func.hessian(lambda p: f(p).sum()))(x)))
    for result in seen:
        torch.testing.assert_close(result, seen[0], rtol=0, atol=0)


def test_peak_is_what_is_alive_at_once() -> None:
    def work():
        a = torch.ones(1000, dtype=torch.float64)  # 8000
        b = a + 1  # 16000
        del a  # 8000
        c = b * 2  # 16000
        return c + b  # 24000

    assert peak_bytes(work, "cpu") == 24000


def test_views_and_what_was_resident_are_free() -> None:
    resident = torch.ones(1000)

    def work():
        view = resident.view(10, 100).t()
        view.add_(1)
        return resident[:10].clone()

    assert peak_bytes(work, "cpu") == 40


def test_what_autograd_keeps_is_alive() -> None:
    x = torch.ones(1000, requires_grad=True)

    def work(tracked: bool):
        with torch.set_grad_enabled(tracked):
            y = x
            for _ in range(5):
                y = y.sin()
            return y

    assert peak_bytes(lambda: work(True), "cpu") == 5 * 4000
    assert peak_bytes(lambda: work(False), "cpu") == 2 * 4000


def test_the_meta_device_predicts_the_same_bytes() -> None:
    def work(device):
        W = torch.ones(50, 50, device=device)
        x = torch.ones(7, 50, device=device)
        return torch.func.vmap(torch.func.jacrev(lambda p: torch.tanh(p @ W)))(x)

    assert peak_bytes(lambda: work("meta"), "meta") == peak_bytes(lambda: work("cpu"), "cpu") > 0


def test_a_freed_address_may_be_used_again() -> None:
    with StorageMode() as mode:
        for _ in range(100):
            torch.ones(1000)
    assert mode.peak_bytes == 4000
