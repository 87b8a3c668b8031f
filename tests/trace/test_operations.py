"""The table of operations against torch itself: what depends on what, by dense Jacobians at samples of every row."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from jacstrat.structure.rules import PATTERN_RULES, moved, viewed
from jacstrat.structure.rules_index import read
from jacstrat.taylor.kinds import MOVES, covered, matrices, taken_together
from jacstrat.taylor.node import TaylorNode
from jacstrat.taylor.table import TAYLOR_RULES
from jacstrat.trace.operations import (
    OPERATIONS,
    AtenKind,
    AtenOperation,
    axes_of,
    is_pointwise,
    is_random,
    operation_of,
    rows,
    takes_shapes_only,
)
from tests.taylor.samples import SAMPLES, V, draw, v

aten = torch.ops.aten
INDEX = torch.tensor([2, 0, 1])
PLACES = torch.tensor([[2, 0], [0, 3], [1, 2]])
ORDERED = V(torch.tensor([[3.0, 1.0, 4.0, 1.5], [9.0, 2.0, 6.0, 5.0]], dtype=torch.float64))
COMPLEX = V(torch.complex(draw(3), draw(3, seed=1)))
IMAGE, LINE = v(1, 4, 2, 2), v(1, 2, 4)
# Every operation that Taylor mode has a rule for, and here the others.
OTHERS: list[tuple[Any, tuple[Any, ...]]] = [
    (aten.lift_fresh.default, (v(3),)),
    (aten.lift_fresh_copy.default, (v(3),)),
    (aten.rot90.default, (v(3, 4), 1, [0, 1])),
    (aten.repeat_interleave.self_int, (v(3, 2), 2, 1)),
    (aten.unsafe_split.Tensor, (v(3, 4), 3, 1)),
    (aten.chunk.default, (v(3, 4), 2, 1)),
    (aten.diag_embed.default, (v(2, 3), 1, 0, 2)),
    (aten._unsafe_index.Tensor, (v(3, 4), [None, INDEX])),
    (aten.take.default, (v(3, 4), PLACES)),
    (aten.pixel_shuffle.default, (IMAGE, 2)),
    (aten.pixel_unshuffle.default, (IMAGE, 2)),
    (aten.channel_shuffle.default, (IMAGE, 2)),
    (aten.reshape.default, (v(3, 4), [2, 6])),
    (aten.slice_scatter.default, (v(3, 4), v(3, 2, seed=1), 1, 1, 3, 1)),
    (aten.select_scatter.default, (v(3, 4), v(3, seed=1), 1, 2)),
    (aten.diagonal_scatter.default, (v(3, 4), v(3, seed=1), 1, 0, 1)),
    (aten.as_strided.default, (v(3, 4), [2, 2], [4, 2], 1)),
    (aten.as_strided_scatter.default, (v(3, 4), v(2, 2, seed=1), [2, 2], [4, 2], 1)),
    (aten.scatter_add.default, (v(3, 4), 1, PLACES, v(3, 2, seed=1))),
    (aten.scatter_reduce.two, (v(3, 4), 1, PLACES, v(3, 2, seed=1), "prod")),
    (aten.index_add.default, (v(3, 4), 1, INDEX, v(3, 3, seed=1))),
    (aten.index_reduce.default, (v(3, 4), 1, INDEX, v(3, 3, seed=1), "prod")),
    (aten._unsafe_index_put.default, (v(3, 4), [None, INDEX], v(3, 3, seed=1))),
    (aten.positive.default, (v(3, 4),)),
    (aten.hardtanh_backward.default, (v(3, 4), draw(3, 4), -1.0, 1.0)),
    *((getattr(aten, name).default, (COMPLEX,)) for name in ("_conj", "_conj_physical", "real", "imag")),
    (aten.hardswish.default, (v(3, 4),)),
    (aten._prelu_kernel.default, (v(3, 4), draw(4))),
    (aten.log_sigmoid_forward.default, (v(3, 4),)),
    (aten.special_i0.default, (v(3, 4),)),
    (aten.special_i1.default, (v(3, 4),)),
    (aten.special_erfcx.default, (v(3, 4),)),
    (aten.fill.Scalar, (v(3, 4), 2.0)),
    *((getattr(aten, name).default, (ORDERED, [1], False)) for name in ("amax", "amin")),
    *((getattr(aten, name).dim, (ORDERED, 1, True)) for name in ("max", "min", "median", "nanmedian")),
    (aten.mode.default, (ORDERED, 1, False)),
    (aten.kthvalue.default, (ORDERED, 2, 0, False)),
    (aten.norm.ScalarOpt_dim, (ORDERED, 2, [1], False)),
    (aten.nansum.default, (ORDERED, [1], False)),
    (aten.aminmax.default, (ORDERED,)),
    *((getattr(aten, name).correction, (ORDERED, [1])) for name in ("var", "std", "var_mean", "std_mean")),
    *((getattr(aten, name).default, (ORDERED, 1)) for name in ("cumprod", "logcumsumexp", "cummax", "cummin")),
    (aten.sort.default, (ORDERED, 1, False)),
    (aten.topk.default, (ORDERED, 2, 1, True, True)),
    *(
        (getattr(aten, name).default, (v(2, 3), draw(2, 3, seed=1), 1, torch.float64))
        for name in ("_softmax_backward_data", "_log_softmax_backward_data")
    ),
    (aten.vdot.default, (v(4), v(4, seed=1))),
    (aten.cross.default, (v(2, 3), v(2, 3, seed=1), 1)),
    (aten.kron.default, (v(2, 2), v(2, 2, seed=1))),
    (
        aten.convolution_backward.default,
        (v(2, 4, 4), draw(2, 3, 5), draw(4, 3, 2), [0], [1], [0], [1], False, [0], 1, [True, False, False]),
    ),
    (aten.trace.default, (v(3, 3),)),
    *((getattr(aten, name).default, (LINE, [1, 1])) for name in ("reflection_pad1d", "replication_pad1d")),
    *((getattr(aten, name).default, (IMAGE, [1, 1, 1, 1])) for name in ("reflection_pad2d", "replication_pad2d")),
    (aten.avg_pool1d.default, (LINE, [2])),
    (aten.upsample_nearest1d.default, (LINE, [8])),
    (aten.upsample_nearest2d.default, (IMAGE, [4, 4])),
]


def cases(is_wanted: Callable[[AtenOperation], bool]) -> pytest.MarkDecorator:
    """Every sample of the operations that are wanted."""
    samples = [*SAMPLES.items(), *((op, [(args, {})]) for op, args in OTHERS)]
    wanted = [
        pytest.param(op, args, kwargs, id=f"{op}-{number}")
        for op, its in samples
        if (operation := operation_of(op)) is not None and is_wanted(operation)
        for number, (args, kwargs) in enumerate(its)
    ]
    return pytest.mark.parametrize(("op", "args", "kwargs"), wanted)


def marked(tree: Any) -> list[Tensor]:
    if isinstance(tree, V):
        return [tree.value]
    return [leaf for branch in tree for leaf in marked(branch)] if isinstance(tree, (tuple, list)) else []


def function_of(op: Any, args: Any, kwargs: Any) -> Callable[..., tuple[Tensor, ...]]:
    """From the marked tensors to those results that are no indices."""

    def at(tree: Any, tensors: list[Tensor]) -> Any:
        if isinstance(tree, V):
            return tensors.pop(0)
        return type(tree)(at(branch, tensors) for branch in tree) if isinstance(tree, (tuple, list)) else tree

    def function(*tensors: Tensor) -> tuple[Tensor, ...]:
        out = op(*at(args, list(tensors)), **kwargs)
        outs = out if isinstance(out, (tuple, list)) else (out,)
        return tuple(one for one in outs if isinstance(one, Tensor) and (one.is_floating_point() or one.is_complex()))

    return function


def jacobian(op: Any, args: Any, kwargs: Any, tensors: list[Tensor]) -> Tensor:
    """Of the first result in all marked tensors, (entries, entries), by differences, not by torch's derivatives.

    The step is too small to change which of two entries is the larger.
    """
    function = function_of(op, args, kwargs)
    step = 2.0**-20
    before = function(*tensors)[0].flatten()
    columns = []
    for number, tensor in enumerate(tensors):
        for entry in range(tensor.numel()):
            bent = [one.clone() for one in tensors]
            bent[number].view(-1)[entry] += step
            columns.append((function(*bent)[0].flatten() - before) / step)
    return torch.stack(columns, 1)


def others(tensors: list[Tensor]) -> list[Tensor]:
    """Tensors like these with other numbers, in the same order."""
    return [2 * tensor + 0.125 for tensor in tensors]


def test_every_row_names_an_operation_of_torch_and_has_a_sample() -> None:
    sampled = {op._schema.name.removeprefix("aten::") for op in SAMPLES if isinstance(op, torch._ops.OpOverload)}
    sampled |= {op._schema.name.removeprefix("aten::") for op, _ in OTHERS}
    assert set(OPERATIONS) <= sampled
    assert all(getattr(aten, name).overloads() for name in OPERATIONS)


def test_no_operation_has_two_rows() -> None:
    names = [name for name, _ in rows()]
    assert sorted(names) == sorted(OPERATIONS)


def constant(tree: Any) -> Any:
    """The arguments without marks."""
    if isinstance(tree, V):
        return tree.value
    return type(tree)(map(constant, tree)) if isinstance(tree, (tuple, list)) else tree


@cases(lambda operation: operation.is_linear and not operation.factors)
def test_what_is_linear_has_the_same_jacobian_everywhere(op: Any, args: Any, kwargs: Any) -> None:
    tensors = marked(args)
    here, there = (jacobian(op, args, kwargs, one) for one in (tensors, others(tensors)))
    tolerance = 0.5 if kwargs.get("dtype") == torch.float32 else 1e-6  # of which differences are coarse
    torch.testing.assert_close(here, there, rtol=tolerance, atol=tolerance)


@cases(lambda operation: operation.is_linear and bool(operation.factors))
def test_a_product_is_linear_in_each_factor(op: Any, args: Any, kwargs: Any) -> None:
    operation = operation_of(op)
    assert operation is not None
    for factor in operation.factors:
        value = constant(args[factor.position])
        only = [V(value) if number == factor.position else constant(one) for number, one in enumerate(args)]
        here, there = (jacobian(op, only, kwargs, one) for one in ([value], others([value])))
        torch.testing.assert_close(here, there, rtol=1e-6, atol=1e-6)


ONE_EACH = (
    *(AtenKind.MOVES, AtenKind.PERMUTES, AtenKind.RESHAPES, AtenKind.PICKS, AtenKind.JOINS, AtenKind.OVERWRITES),
    *(AtenKind.REPLACES, AtenKind.CHOOSES, AtenKind.STRIDES, AtenKind.COPIES, AtenKind.FILLS),
)


@cases(lambda operation: operation.kind in ONE_EACH)
def test_what_moves_entries_takes_each_from_one_place(op: Any, args: Any, kwargs: Any) -> None:
    operation, tensors = operation_of(op), marked(args)
    assert operation is not None
    J = jacobian(op, args, {} if "dtype" in kwargs else kwargs, tensors)
    torch.testing.assert_close(J, J.round(), rtol=0, atol=1e-6)
    J = J.round()
    assert set(J.unique().tolist()) <= {0.0, 1.0}
    assert bool((J.sum(1) <= 1).all())
    if operation.kind in (AtenKind.RESHAPES, AtenKind.COPIES):
        torch.testing.assert_close(J, torch.eye(len(J), dtype=J.dtype))
    if operation.kind is AtenKind.PERMUTES:
        (result,) = function_of(op, args, kwargs)(*tensors)
        assert sorted(zip(result.shape, result.stride(), strict=True)) == sorted(
            zip(tensors[0].shape, tensors[0].stride(), strict=True)
        )
        assert result.data_ptr() == tensors[0].data_ptr()
    if operation.kind is AtenKind.REPLACES:
        assert not J[:, : tensors[0].numel()].any()
    assert bool(J.any()) is not (operation.kind is AtenKind.FILLS)


@cases(lambda operation: operation.kind is AtenKind.POINTWISE)
def test_what_is_pointwise_depends_on_its_own_entry(op: Any, args: Any, kwargs: Any) -> None:
    (tensor,) = marked(args)
    (before, *_), (after, *_) = (function_of(op, args, kwargs)(one) for one in (tensor, others([tensor])[0]))
    for entry in range(tensor.numel()):
        bent = tensor.clone()
        bent.view(-1)[entry] = others([tensor])[0].view(-1)[entry]
        (result, *_) = function_of(op, args, kwargs)(bent)
        expected = before.clone()
        expected.view(-1)[entry] = after.view(-1)[entry]
        assert torch.equal(result, expected)
    assert is_pointwise(op)


@cases(lambda operation: operation.kind in (AtenKind.REDUCES, AtenKind.ALONG, AtenKind.NORMALISES))
def test_an_entry_depends_on_others_along_the_axes_that_are_named(op: Any, args: Any, kwargs: Any) -> None:
    value = constant(args[0])
    rank, axes = value.dim(), axes_of(op, constant(args), value.dim())
    if axes is None:  # an overload over all, or one whose axes are not among the positional arguments
        assert not {"dim", "keepdim"} <= {argument.name for argument in op._schema.arguments if not argument.kwarg_only}
        return
    operation = operation_of(op)
    assert operation is not None
    assert axes.is_dropped <= (operation.kind is AtenKind.REDUCES)
    result = function_of(op, args, kwargs)(*marked(args))[0]
    lengths = [1 if axis in axes.axes else value.shape[axis] for axis in range(-rank, 0)]
    result = result.reshape(lengths) if axes.is_dropped else result
    # Where each entry stands on the other axes, by a number.
    places = torch.arange(math.prod(lengths)).reshape(lengths)
    apart = places.expand(result.shape).reshape(-1, 1) != places.expand(value.shape).reshape(1, -1)
    J = jacobian(op, [V(value), *constant(args[1:])], kwargs, [value])
    assert not J[apart].any()


@cases(lambda operation: operation.kind is AtenKind.CONTRACTS)
def test_a_product_contracts_the_axes_of_its_factors(op: Any, args: Any, kwargs: Any) -> None:
    operation, constants = operation_of(op), list(constant(args))
    assert operation is not None
    before = op(*constants, **kwargs)
    turned = list(constants)
    for factor in operation.factors:
        assert factor.rank in (None, constants[factor.position].dim())
        turned[factor.position] = constants[factor.position].flip(factor.contracted)
    # A sum does not care for the order of its terms, if both factors have the same.
    torch.testing.assert_close(op(*turned, **kwargs), before)
    turned[operation.factors[0].position] = constants[operation.factors[0].position]
    assert not torch.allclose(op(*turned, **kwargs), before)
    if operation.summand is not None and constants[operation.summand] is not None:
        more = list(constants)
        more[operation.summand] = constants[operation.summand] + 1
        change = op(*more, **kwargs) - before
        torch.testing.assert_close(change, torch.full_like(change, kwargs.get("beta", 1)))


def node_of(op: Any, args: Any = ()) -> TaylorNode:
    return TaylorNode(op, args, {}, (), 0, False, rule=TAYLOR_RULES[op])


def test_what_taylor_mode_moves_patterns_move_too() -> None:
    kinds = {covered(node_of(op)).kind for op in TAYLOR_RULES if covered(node_of(op)) is not None}
    assert kinds >= MOVES
    assert {PATTERN_RULES[kind] for kind in MOVES} == {moved, viewed, read}


def test_an_axis_that_taylor_mode_takes_together_is_one_of_the_operation() -> None:
    taken = {}
    for op, samples in SAMPLES.items():
        args, _ = samples[0]
        for position, argument in enumerate(args):
            if isinstance(argument, V):
                found = taken_together(node_of(op, constant(args)), position, argument.value.dim())
                if found is not None:
                    taken[op, position] = found.axes
    assert taken[aten.linear.default, 0] == (-1,)
    assert (aten.linear.default, 1) not in taken  # its rule has weights that do not depend on x
    assert taken[aten.mm.default, 1] == taken[aten.addmm.default, 2] == (-2,)
    assert taken[aten.native_layer_norm.default, 0] == (-1,)
    assert aten.sum.default not in {op for op, _ in taken}  # this overload names no axes
    for (op, position), axes in taken.items():
        factors = {factor.position: (factor.contracted,) for factor in matrices(node_of(op))}
        assert axes == factors.get(position, axes)


@pytest.mark.parametrize("op", [aten.view.dtype, torch.add, None, aten.tanh.default])
def test_what_the_table_does_not_know(op: Any) -> None:
    assert operation_of(op) is None
    assert axes_of(op, (), 1) is None


def test_what_looks_at_shapes_alone() -> None:
    assert takes_shapes_only(aten.zeros_like.default)
    assert takes_shapes_only(aten.new_full.default)
    assert not takes_shapes_only(aten.clone.default)


def test_what_draws_random_numbers() -> None:
    drawing = (aten.rand_like.default, aten.bernoulli.default, aten.native_dropout.default)
    assert [is_random(op) for op in (*drawing, aten.sin.default, torch.sin)] == [True, True, True, False, False]
