"""A function is told as plain JSON and arrays, or not at all."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from jacstrat import UnsupportedError
from jacstrat.peers.program import Program

X = torch.rand(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_a_network_is_its_operations_at_one_point_and_its_weights() -> None:
    net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 1), nn.Flatten(0)).double()
    program = Program.of(net, X, ())
    # Flatten(0) of one point would join another axis: it takes batches.
    assert program.plain["is_row"]
    assert json.loads(json.dumps(program.plain)) == program.plain
    names = [node["op"] for node in program.plain["nodes"]]
    assert [name for name in names if "mm" in name or "tanh" in name] == [
        "aten.addmm.default",
        "aten.tanh.default",
        "aten.addmm.default",
    ]
    assert {tuple(one.shape) for one in program.constants.values()} == {(5, 4), (5,), (1, 5), (1,)}


def test_a_function_of_a_point_is_recorded_at_a_point() -> None:
    program = Program.of(lambda x: x.sin().sum(-1), X, ())
    assert not program.plain["is_row"]
    assert [node["op"] for node in program.plain["nodes"]] == ["aten.sin.default", "aten.sum.dim_IntList"]


def test_arguments_are_slots_and_tell_whether_they_go_with_the_points() -> None:
    t, scale = torch.rand(3, 1, dtype=torch.float64), torch.tensor(2.0, dtype=torch.float64)
    program = Program.of(lambda x, t, scale, power: (scale * t * x**power).sum(-1), X, (t, scale, 3))
    assert (program.plain["arguments"], program.goes) == (2, (True, False))
    arrays = program.inputs(X, (t, scale, 3))
    assert sorted(arrays) == ["arg0", "arg1", "x"]
    assert np.array_equal(arrays["arg0"], t.numpy())


def test_what_the_result_does_not_depend_on_is_left_out() -> None:
    def f(x: torch.Tensor) -> torch.Tensor:
        x.exp().sum()
        return x.cos().sum(-1)

    assert [node["op"].split(".")[1] for node in Program.of(f, X, ()).plain["nodes"]] == ["cos", "sum"]


def test_weights_are_read_anew_for_every_call() -> None:
    weight = torch.ones(4, dtype=torch.float64)
    program = Program.of(lambda x: (weight * x).sum(-1), X, ())
    weight.mul_(3)
    assert np.array_equal(program.inputs(X, ())["constant0"], np.full(4, 3.0))


def test_numbers_that_json_has_no_form_for_have_one_here() -> None:
    program = Program.of(lambda x: torch.where(x > 0, x, float("-inf")).clamp(max=1.0).sum(-1), X, ())
    assert json.loads(json.dumps(program.plain, allow_nan=False)) == program.plain


class Own(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, g):
        return g


HELD = torch.rand(3, 4, dtype=torch.float64)


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (lambda x: Own.apply(x).sum(-1), "which is no operation of ATen that another process could be told of"),
        (lambda x: x.sum(-1) if bool((x > -1).all()) else x.prod(-1), "f cannot be recorded for another process: "),
        (lambda x: (x * HELD[: len(x)]).sum(-1), "it takes points one by one, and f gives other numbers for rows"),
    ],
)
def test_what_cannot_be_told_is_unsupported(f, message: str) -> None:
    with pytest.raises(UnsupportedError) as raised:
        Program.of(f, X, ())
    assert message in str(raised.value)


def test_a_tensor_of_half_precision_cannot_be_told() -> None:
    held = torch.ones(4, dtype=torch.bfloat16)
    with pytest.raises(UnsupportedError, match=r"f holds a tensor of torch\.bfloat16"):
        Program.of(lambda x: (x * held).sum(-1), X, ())
