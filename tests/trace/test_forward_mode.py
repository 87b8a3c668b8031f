"""Forward mode by several threads, of which torch lets one at a time be right."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
import torch
from torch import Tensor

from jacstrat import parse_strategy
from jacstrat.trace import forward_mode


@pytest.fixture
def turns() -> Iterator[None]:
    """Threads take turns after each few operations, and not every 5 ms."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.long(but_one_in=2)
@pytest.mark.parametrize("strategy", ["jvp", "jacfwd", "hessian", "forward_over_forward", "taylor"])
def test_threads_do_not_disturb_each_other(turns, strategy) -> None:
    W = torch.rand(3, 3, generator=torch.Generator().manual_seed(0)).double()

    def u(x: Tensor) -> Tensor:
        return (x @ W).sin().prod(-1) + torch.special.entr(x.square() + 1).sum(-1)

    x = torch.linspace(-1, 1, 12).double().view(4, 3)
    prepared = parse_strategy(strategy).prepare("laplacian", u, x)
    truth = parse_strategy("identity").prepare("laplacian", u, x)(x)
    with ThreadPoolExecutor(4) as pool:
        for result in pool.map(prepared, [x] * 40):
            torch.testing.assert_close(result, truth)


def test_one_thread_waits_for_another() -> None:
    inside, leave = Event(), Event()

    def slow(x: Tensor) -> Tensor:
        inside.set()
        assert leave.wait(60)
        return x.sin()

    x = torch.ones(2)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(forward_mode.jvp, slow, (x,), (x,))
        assert inside.wait(60)
        second = pool.submit(forward_mode.jvp, torch.cos, (x,), (x,))
        assert not second.done()
        leave.set()
        torch.testing.assert_close(first.result(60)[1], x.cos())
        torch.testing.assert_close(second.result(60)[1], -x.sin())


def test_a_product_of_a_product_waits_for_nobody() -> None:
    x = torch.ones(2)
    second = forward_mode.jvp(lambda x: forward_mode.jvp(torch.sin, (x,), (torch.ones(2),))[1], (x,), (x,))[1]
    torch.testing.assert_close(second, -x.sin())
