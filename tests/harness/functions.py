"""Functions that a user might bring, most of them bad ones. Loaded by the harness from this file, by path."""

from __future__ import annotations

import ctypes
import os
import random
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import torch

import jacstrat
from jacstrat.problems.base import Problem

number = 3


def sine(x):
    return torch.sin(x)


def linear(x):
    return x.flip(-1) + 2 * x


def scalar(x):
    return x.square().sum(-1)


def in_transform() -> bool:
    """Whether torch.func is at work: that tells strategy vmap from identity."""
    return torch._C._functorch.peek_interpreter_stack() is not None


def hangs(x):
    time.sleep(1000)


def hangs_in_transform(x):
    if in_transform():
        while True:
            ctypes.CDLL(None).usleep(10_000)
    return torch.sin(x)


def closes_the_pipe_and_hangs(x):
    os.closerange(3, 500)
    time.sleep(1000)


def sparse(x):
    return (torch.eye(x.shape[-1], dtype=x.dtype).to_sparse() @ x.T).T


def exits(x):
    os._exit(3)


def raises_system_exit(x):
    raise SystemExit(5)


def raises_keyboard_interrupt(x):
    raise KeyboardInterrupt


def raises_in_transform(x):
    if in_transform():
        raise ValueError("mine,\nover two lines")
    return torch.sin(x)


def segfaults_in_transform(x):
    if in_transform():
        ctypes.string_at(0)
    return torch.sin(x)


def aborts(x):
    print("terminate called: a C++ exception", file=sys.stderr, flush=True)
    os.abort()


def allocates(x):
    return torch.sin(x) + torch.ones(100 * 10**9, dtype=torch.uint8)[0]


def allocates_behind_torch(x):
    # Touched page by page, by no allocator that torch knows.
    hoard = [bytearray(os.urandom(2**20)) for _ in range(400)] if in_transform() else []
    time.sleep(0.5 if hoard else 0)
    return torch.sin(x)


def prints(x):
    if in_transform():
        sys.stdout.write("x" * 10**7)
        sys.stderr.write("y" * 10**6)
    return torch.sin(x)


def meddles(x):
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(random.randrange(10**6))
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
    return torch.sin(x)


def wrong_shape(x):
    return x[..., :1]


def tuple_of(x):
    return x, x


net = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3)).double()


def network(x):
    return net(x)


def constant(x):
    return torch.ones_like(x)


def not_a_number(x):
    return torch.sqrt(x - 1e9)


def infinite_slope(x):
    return torch.sqrt(0 * x)


def nearly_singular(x):
    """The log-determinant of a Gram matrix of near points."""
    return torch.linalg.slogdet(torch.exp(-(x.unsqueeze(-1) - x.unsqueeze(-2)).square() / 3))[1]


def half_only(x):
    return x @ torch.ones(x.shape[-1], x.shape[-1], dtype=torch.float16)


late_calls = []


def raises_later(x):
    late_calls.append(1)
    if len(late_calls) > 200:
        raise RuntimeError("call 201")
    return torch.sin(x)


problem = Problem(
    name="mine",
    kind="field",
    formula="2 x",
    answer="2 n",
    function=lambda x: 2 * x,
    diagonal=lambda x: 0 * x + 2,
    structure="diagonal",
)

unbounded = replace(problem, diagonal=lambda x: 0 * x + float("inf"))


def with_a_kink(n, batch, rng):
    """Points of which the second has a coordinate that is 0."""
    points = rng.uniform(-1, 1, (batch, n))
    points[1, 0] = 0
    return points


bent = replace(problem, function=lambda x: torch.relu(x) + 3 * x.flip(-1), diagonal=None, points=with_a_kink)


def branches(x):
    return torch.sin(x) if float(x.sum()) < 1e9 else x.flip(-1)


def wave(x):
    """A complex scalar."""
    return torch.exp(1j * x.sum(-1)) * x.square().sum(-1)


def _moving_arguments(n, batch, rng):
    return rng.uniform(0, 1, (batch, 1)), np.float64(2), rng.integers(0, 3, batch)


@jacstrat.problem(arguments=_moving_arguments)
def moving(x, t, scale, which):
    """A field of a time and a class of each row, and of one number for all."""
    return torch.sin(scale * x) * t + x * (which.to(x.dtype) + 1).reshape(-1, 1) * x.sum(-1, keepdim=True)
