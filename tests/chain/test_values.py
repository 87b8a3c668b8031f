"""What of a tape varies with x, what moves at each call without a derivative, what is fixed, and where it is narrow."""

from __future__ import annotations

import torch
from torch import Tensor

from jacstrat.chain.values import Values, run, runner, values_of
from jacstrat.trace import record
from jacstrat.trace.arguments import lifted

X = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
DOWN, UP = torch.ones(4, 2, dtype=torch.float64), torch.ones(2, 4, dtype=torch.float64)


def read(f, x: Tensor = X, args: tuple = ()) -> Values:
    return values_of(record(f, x, args), x, lifted(args))


def again(values: Values, x: Tensor, args: tuple = ()) -> Tensor:
    """The nodes that were kept, run at other points from what is fixed."""
    environment: list = [None] * len(values.sample)
    for slot, tensor in values.fixed.items():
        environment[slot] = tensor
    values.placed(environment, x, args)
    for node in values.nodes:
        outs = run(node, environment)
        torch.testing.assert_close(runner(node)(environment), outs, rtol=0, atol=0)
        for slot, out in zip(node.outs, outs, strict=True):
            if slot is not None:
                environment[slot] = out
    return environment[values.output]


def test_the_nodes_give_the_function_at_other_points_and_arguments() -> None:
    def f(x: Tensor, t: Tensor, a: float) -> Tensor:
        return (x * torch.arange(4, dtype=x.dtype) + t * torch.ones_like(x)).sin() * a

    values = read(f, X, (torch.ones(3, 1, dtype=X.dtype), 0.5))
    other = torch.full((3, 1), 2.0, dtype=X.dtype)
    torch.testing.assert_close(again(values, 2 * X, (other, 3.0)), f(2 * X, other, 3.0))
    assert values.arguments == 2
    assert values.batch == 3
    assert {1, 2} <= values.moving


def test_arguments_in_lists_and_outputs_that_are_several() -> None:
    def f(x: Tensor) -> Tensor:
        a, b = torch.cat((x, 2 * x), -1).chunk(2, -1)
        return a * b + (a * a.detach()).sum(-1, keepdim=True)

    torch.testing.assert_close(again(read(f), 3 * X), f(3 * X))


def test_what_is_detached_moves_and_does_not_vary() -> None:
    values = read(lambda x: x * x.sigmoid().detach())
    assert len(values.moving) == 1, "the constant"
    assert len(values.varying) == 3, "x, its sigmoid and the product"
    assert not values.moving & values.varying


def test_a_result_that_does_not_depend_on_x_has_no_slot() -> None:
    assert read(lambda x: x.detach().sin()).output == -1


def test_a_cut_is_where_all_of_the_dependence_passes_through() -> None:
    values = read(lambda x: ((x @ DOWN).tanh() @ UP).exp())
    widths = [values.sample[slot].shape[-1] for slot, _ in values.cuts()]
    assert widths == [2, 2, 4]
    beside = read(lambda x: (x @ DOWN).tanh() @ UP + x)
    assert [*beside.cuts()] == [], "x goes around it"


def test_of_a_sample_the_shapes_alone_may_be_kept() -> None:
    values = read(lambda x: (x @ DOWN).tanh() @ UP)
    shapes = [None if v is None else v.shape for v in values.sample]
    slot = values.new_slot(torch.Size((3, 7)))
    values.forget()
    assert [None if v is None else v.shape for v in values.sample] == [*shapes, torch.Size((3, 7))]
    assert slot == len(shapes)
    assert all(v is None or v.untyped_storage().nbytes() <= 8 for v in values.sample)
