"""A recording does again what the function does, at other numbers and arguments; what it cannot follow it names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from jacstrat.trace.arguments import Args, lifted
from jacstrat.trace.record import Untraceable, record, revalued
from jacstrat.trace.tape import Tape, bound

aten = torch.ops.aten
D = torch.float64
X = torch.linspace(-1, 1, 6, dtype=D).view(2, 3)
W = torch.ones(3, dtype=D)


def replay(tape: Tape, x: Tensor, args: Args = ()) -> Tensor:
    """The operations one after the other."""
    given = [arg for arg in lifted(args) if isinstance(arg, Tensor)]
    slots: list[Any] = [x, *given, *[None] * (tape.size - 1 - len(given))]
    for node in tape.nodes:
        kwargs = {key: bound(item, slots) for key, item in node.kwargs.items()}
        out = node.op(*bound(node.args, slots), **kwargs)
        for slot, one in zip(node.outs, out if node.is_tuple else (out,), strict=True):
            if slot is not None:
                slots[slot] = one
    return slots[tape.output] if isinstance(tape.output, int) else tape.output


def written(x: Tensor) -> Tensor:
    y = x.sin()
    y[..., 0] = 2 * x[..., 1]
    y.mul_(3)
    return y


def attended(x: Tensor) -> Tensor:
    q = x.view(-1, 1, 3, 1)
    return torch.nn.functional.scaled_dot_product_attention(q, q, q).flatten(1)


FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "several results": lambda x: x.sort(-1).values * x.max(-1, keepdim=True).values,
    "a write into a view": written,
    "attention": attended,
    "a batch norm": lambda x: torch.nn.functional.batch_norm(x, torch.zeros(3, dtype=D), torch.ones(3, dtype=D)),
    "a part from behind": lambda x: x[..., -2:].sum(-1, keepdim=True) + x,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_tape_gives_the_function_at_other_points(name: str) -> None:
    f = FUNCTIONS[name]
    torch.testing.assert_close(replay(record(f, X), 1 - X.square()), f(1 - X.square()))


def test_tensors_and_fractions_among_the_arguments_are_inputs_and_the_rest_is_baked_in() -> None:
    def f(x: Tensor, t: Tensor, scale: float, power: int) -> Tensor:
        return (x * t * scale) ** power

    tape = record(f, X, (torch.ones(2, 1, dtype=D), 0.5, 3))
    assert tape.arguments == 2
    t = torch.full((2, 1), 2.0, dtype=D)
    torch.testing.assert_close(replay(tape, X, (t, 7.0)), f(X, t, 7.0, 3))


def test_numbers_have_no_influence_but_for_those_that_f_keeps() -> None:
    kept: list[Tensor] = []

    def f(x: Tensor) -> Tensor:
        if not kept:
            kept.append(torch.full((3,), 2.0, dtype=x.dtype))
        return x * kept[0]

    tape = record(f, X)
    assert type(kept[0]) is Tensor, "what is made at the first call has numbers"
    assert any(constant is kept[0] for constant in tape.constants)


def test_an_operation_may_be_recorded_as_others() -> None:
    tape = record(torch.tanh, X, decompositions={aten.tanh.default: lambda v: 2 * (2 * v).sigmoid() - 1})
    assert aten.tanh.default not in [node.op for node in tape.nodes]
    torch.testing.assert_close(replay(tape, X), X.tanh())
    left = record(torch.tanh, X, decompositions={aten.tanh.default: lambda v: NotImplemented})
    assert aten.tanh.default in [node.op for node in left.nodes]


def test_what_ends_a_derivative_is_told_from_what_autograd_makes_for_itself() -> None:
    def f(x: Tensor) -> Tensor:
        with torch.no_grad():
            y = x.exp()
        return x.sin().detach() + y + x.softmax(-1)

    ends = {node.op for node in record(f, X).nodes if node.is_cut}
    assert ends == {aten.detach.default, aten.exp.default}
    plain = record(lambda x: x.tanh().square(), X).nodes
    assert not any(node.is_cut or node.op is aten.detach.default for node in plain)


def test_a_custom_function_is_one_operation() -> None:
    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x + x

        @staticmethod
        def backward(ctx, g):
            return 2 * g

    (node,) = record(lambda x: Twice.apply(x), X).nodes
    assert not isinstance(node.op, torch._ops.OpOverload)
    assert node.op(X).tolist() == (2 * X).tolist()
    held = Twice.apply
    with pytest.raises(Untraceable, match="^it applies the custom Function Twice$"):
        record(lambda x: held(x), X)


def test_a_result_that_does_not_depend_on_x_is_itself() -> None:
    assert record(lambda x: W, X).output is W


@pytest.mark.parametrize(
    ("f", "words"),
    [
        (lambda x: x * (1j * x).real, "it computes with complex numbers"),
        (lambda x: x * W.tolist()[0], "it reads the numbers of a tensor by tolist"),
        (lambda x: x if x.sum() > 0 else -x, "DataDependent"),
        (lambda x: 1 / 0, "ZeroDivisionError: division by zero"),
    ],
    ids=["complex", "numbers", "branch", "its own fault"],
)
def test_what_cannot_be_recorded_says_why_in_a_line(f: Any, words: str) -> None:
    with pytest.raises(Untraceable, match=f"^.*{words}") as caught:
        record(f, X)
    assert "\n" not in str(caught.value)


def test_within_a_transform_nothing_is_recorded() -> None:
    def f(x: Tensor) -> Tensor:
        record(torch.sin, x)
        return x.sum()

    with pytest.raises(Untraceable, match=r"^called inside a torch\.func transform; prepare outside of it$"):
        torch.func.grad(f)(X)


def test_why_rows_cannot_be_taken_in_parts_is_part_of_it() -> None:
    assert record(torch.sin, X).bound == ""
    t = torch.tensor([[1.0], [2.0]], dtype=D)
    assert record(lambda x: x * t, X).bound != ""


def test_numbers_that_are_written_past_autograd_change_no_derivative() -> None:
    v = X.clone().requires_grad_()
    assert revalued(v, 2 * X).tolist() == (2 * X).tolist()
    tape = record(_reset, X)
    assert revalued in [node.op for node in tape.nodes]


def _reset(x: Tensor) -> Tensor:
    y = x.sin()
    with torch.no_grad():
        y.mul_(2)
    return y * x
