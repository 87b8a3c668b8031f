"""References: which of the ways is taken and named, and that an equal one is found once."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from jacstrat import PROBLEMS, UnsupportedError, laplacian
from jacstrat.harness.cell import references
from jacstrat.harness.cell.references import MOVES, find_reference
from jacstrat.harness.cell.setup import instantiate, set_up
from jacstrat.problems import Problem


def problem(function, kind="field", diagonal=None) -> Problem:
    return Problem("mine", kind, "", "", function, diagonal, "dense")


class ForwardSine(torch.autograd.Function):
    """sin with a rule for forward mode, and none for reverse mode."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return torch.sin(x)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_forward(*inputs)

    @staticmethod
    def jvp(ctx, tangent):
        (x,) = ctx.saved_tensors
        return tangent * torch.cos(x)


def forward_only(x):
    return ForwardSine.apply(x) + x.flip(-1)


def forward_only_scalar(x):
    if x.requires_grad:
        raise RuntimeError("mine: this leaves torch where autograd looks on")
    return torch.sin(x).sum(-1) * x[..., 0]


def test_a_closed_form_comes_first(cell) -> None:
    reference = find_reference(PROBLEMS["cubic"].instance(4, 2), cell("cubic"))
    assert reference.source == "closed form in numpy.longdouble"


def test_then_a_dense_matrix_in_float64_with_the_parameters_as_rounded(cell) -> None:
    instance = problem(lambda x: torch.sin(x) * x.sum(-1, keepdim=True)).instance(4, 3, torch.float32)
    reference = find_reference(instance, cell("mine"))
    x = instance.x.double().numpy()
    assert reference.source == "dense autograd in float64"
    expected = np.cos(x) * x.sum(-1, keepdims=True) + np.sin(x)
    assert np.abs(reference.diagonal - expected).max() < 1e-15


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_what_reverse_mode_cannot_differentiate_is_left_to_a_strategy(cell, dtype: torch.dtype) -> None:
    instance = problem(forward_only).instance(3, 2, dtype)
    reference = find_reference(instance, cell("mine"))
    assert reference.source == "strategy jvp in float64"
    # n = 3: the flip adds 1 in the middle of the diagonal.
    expected = torch.cos(instance.x.double()) + torch.tensor([0.0, 1.0, 0.0])
    assert np.abs(reference.diagonal - expected.numpy()).max() < 1e-15


def test_the_hessian_diagonal_of_a_scalar_by_forward_mode_alone(cell) -> None:
    instance = problem(forward_only_scalar, "scalar").instance(3, 2)
    reference = find_reference(instance, cell("mine", operator="laplacian"))
    assert reference.source == "strategy forward_over_forward in float64"
    x = instance.x.numpy()
    # u = x_0 sum sin x_i: H_00 = 2 cos x_0 - x_0 sin x_0, H_ii = -x_0 sin x_i.
    expected = -x[:, :1] * np.sin(x)
    expected[:, 0] += 2 * np.cos(x[:, 0])
    assert np.abs(reference.diagonal - expected).max() < 1e-14


def test_a_strategy_that_difference_quotients_contradict_is_no_reference(cell) -> None:
    # Through a custom function torch gives a jvp of a jvp without the derivative of the inner rule, and no word of it.
    instance = problem(lambda x: ForwardSine.apply(x).sum(-1), "scalar").instance(3, 2)
    f, x = instance.f, instance.x
    assert references._agrees(-torch.sin(x), f, x, "laplacian")
    assert not references._agrees(torch.zeros_like(x), f, x, "laplacian")
    with pytest.raises(UnsupportedError, match="forward_over_forward"):
        laplacian(f, x, "forward_over_forward")
    with pytest.raises(NotImplementedError, match="must implement either the backward or vjp method"):
        find_reference(instance, cell("mine", operator="laplacian"))


def test_a_function_that_holds_float32_and_has_no_reverse_mode_is_compared_in_float32(cell) -> None:
    W = torch.eye(3)
    instance = problem(lambda x: ForwardSine.apply(x @ W)).instance(3, 2, torch.float32)
    reference = find_reference(instance, cell("mine"))
    assert reference.source == "strategy jvp in float32"
    assert np.abs(reference.diagonal - np.cos(instance.x.double().numpy())).max() < 1e-6


class Swish(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(0.1))

    def forward(self, x):
        return ForwardSine.apply(x) * self.scale


@pytest.mark.parametrize("function", [Swish(), lambda x, scale: ForwardSine.apply(x) * scale])
def test_parameters_follow_into_float64(cell, function) -> None:
    own = replace(problem(function), parameters=lambda n, rng: {"scale": np.full(1, 0.1)})
    instance = own.instance(2, 2, torch.float32)
    reference = find_reference(instance, cell("mine"))
    assert reference.source == "strategy jvp in float64"
    expected = np.cos(instance.x.double().numpy()) * float(torch.tensor(0.1))
    assert np.abs(reference.diagonal - expected).max() < 1e-15
    assert {p.dtype for p in instance.parameters.values()} == {torch.float32}


def test_what_nothing_can_differentiate_raises_what_autograd_said(cell) -> None:
    def refuses(x):
        raise RuntimeError(f"mine, in {x.dtype}")

    with pytest.raises(RuntimeError, match="mine, in torch.float32"):
        find_reference(problem(refuses).instance(2, 2, torch.float32), cell("mine"))


@pytest.fixture
def counted(monkeypatch) -> list[str]:
    """The names of the problems whose reference was computed."""
    computed: list[str] = []
    found = references._reference

    def counting(instance, operator, attend):
        computed.append(instance.problem.name)
        return found(instance, operator, attend)

    monkeypatch.setattr(references, "_reference", counting)
    return computed


def test_cells_that_differ_in_workload_or_threads_share_a_reference(cell, counted, tmp_path) -> None:
    first = set_up(cell("tanh_field"), cache=tmp_path).reference
    for values in ({}, {"workload": "train"}, {"threads": 2}):
        again = set_up(cell("tanh_field", **values), cache=tmp_path).reference
        assert again.source == first.source
        assert again.diagonal.dtype == np.longdouble
        assert again.change is first.change is None
        assert (again.diagonal == first.diagonal).all()
    assert counted == ["tanh_field"]


@pytest.mark.parametrize(
    "values", [{"n": 4}, {"batch": 3}, {"seed": 1}, {"dtype": "float32"}, {"operator": "jacobian_diagonal"}]
)
def test_another_instance_has_another_reference(cell, counted, tmp_path, values) -> None:
    for asked in (cell("linear"), cell("linear", **values)):
        found = set_up(asked, cache=tmp_path).reference
        assert (found.diagonal == instantiate(asked, "cpu").reference(asked.operator).diagonal).all()
    assert counted == ["linear"] * 2


def test_tf32_is_float32_to_a_reference(cell, counted, tmp_path) -> None:
    for dtype in ("float32", "tf32"):
        set_up(cell("linear", dtype=dtype), cache=tmp_path)
    assert counted == ["linear"]


def test_another_function_by_the_same_name_has_another_reference(cell, counted, tmp_path) -> None:
    # As a file whose weights are drawn anew in each process: x and parameters are equal, f is not.
    for factor in (2.0, 3.0, 2.0):
        instance = problem(lambda x, factor=factor: factor * x).instance(2, 2)
        reference = find_reference(instance, cell("mine"), tmp_path)
        assert reference.diagonal.tolist() == [[factor] * 2] * 2
    assert counted == ["mine"] * 2


def test_what_a_reference_is_worth_is_kept_with_it(cell, counted, tmp_path) -> None:
    instance = problem(torch.sin).instance(3, 2)
    first, again = (find_reference(instance, cell("mine"), tmp_path) for _ in range(2))
    assert counted == ["mine"]
    assert (again.source, again.dtype) == (first.source, first.dtype) == ("dense autograd in float64", torch.float64)
    assert (again.change == first.change).all()
    assert again.error("divergence") == first.error("divergence") > 0


# What x is multiplied by before its sine: a power of two, so that nothing is rounded.
STEEP = 2.0**20


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_without_a_closed_form_x_is_moved_by_one_unit_in_the_last_place(cell, dtype: torch.dtype) -> None:
    instance = problem(lambda x: torch.sin(STEEP * x) / STEEP).instance(3, 4, dtype)
    seen: list[int] = []
    reference = find_reference(instance, cell("mine"), attend=lambda: seen.append(1))
    # Of float64, in which it is computed, whatever x is rounded to.
    x = instance.x.double().numpy()
    expected = STEEP * np.abs(np.sin(STEEP * x)) * np.spacing(np.abs(x))
    assert np.abs(reference.change - expected).max() < 1e-3 * expected.max()
    assert len(seen) == MOVES
    assert find_reference(instance, cell("mine")).error("divergence") == reference.error("divergence")


def test_what_is_computed_in_float32_is_moved_by_that(cell) -> None:
    W = torch.eye(3)
    instance = problem(lambda x: torch.sin(2.0**10 * (x @ W)) / 2.0**10).instance(3, 2, torch.float32)
    reference = find_reference(instance, cell("mine"))
    assert (reference.source, reference.dtype) == ("dense autograd in float32", torch.float32)
    assert 1e-6 < reference.change.max() < 1e-3


def test_a_strategy_as_a_reference_is_moved_likewise(cell) -> None:
    reference = find_reference(problem(forward_only).instance(3, 2), cell("mine"))
    assert 0 < reference.change.max() < 1e-15


def test_a_closed_form_is_certain(cell) -> None:
    reference = find_reference(PROBLEMS["cubic"].instance(4, 2), cell("cubic"))
    assert reference.dtype is reference.change is reference.error("divergence") is None
    assert reference.uncertainty("divergence") == 0


def test_moved_points_without_a_number_are_left_out(cell) -> None:
    # The largest number below 1: upwards the slope of the arc sine is infinite.
    edge = problem(torch.asin).instance(1, 2)
    edge.x[0] = 1 - 2.0**-53
    found = find_reference(edge, cell("mine"))
    assert np.isfinite(found.change).all()
    assert 0.01 < found.change[0, 0] / found.diagonal[0, 0] < 1
    at = edge.x.clone()

    def here_alone(x):
        if not torch.equal(x.detach(), at):
            raise ValueError("mine: elsewhere there is nothing")
        return x.sin()

    nowhere = find_reference(replace(edge, f=here_alone), cell("mine"))
    assert np.isnan(nowhere.change).all()
    assert nowhere.error("divergence") is None
    assert nowhere.uncertainty("divergence") == 0


def test_without_a_cache_nothing_is_kept(cell, counted) -> None:
    for _ in range(2):
        set_up(cell("sin"))
    assert counted == ["sin"] * 2


def test_a_cache_that_cannot_be_written_costs_time_alone(cell, counted, tmp_path) -> None:
    for _ in range(2):
        assert set_up(cell("sin"), cache=tmp_path / "gone").reference.diagonal.shape == (2, 3)
    assert counted == ["sin"] * 2


def test_a_reference_is_there_whole_or_not_at_all(cell, tmp_path, monkeypatch) -> None:
    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        set_up(cell("sin"), cache=tmp_path)
    assert list(tmp_path.glob("*.npz")) == []
    monkeypatch.undo()
    set_up(cell("sin"), cache=tmp_path)
    assert len(list(tmp_path.glob("*.npz"))) == 1


@pytest.mark.parametrize(
    ("device", "dtype", "shape", "there"),
    [
        ("cpu", torch.float32, (1024, 64), False),
        ("meta", torch.float32, (2, 3), True),
        ("meta", torch.bfloat16, (2, 3), True),
        ("meta", torch.float64, (2, 3), False),
        ("meta", torch.float64, (256, 64), False),
        ("meta", torch.float64, (257, 64), True),
    ],
)
def test_a_closed_form_goes_to_the_device_where_float64_is_wide_or_longdouble_slow(device, dtype, shape, there) -> None:
    instance = replace(PROBLEMS["linear"].instance(3, 2), x=torch.empty(shape, dtype=dtype, device=device))
    assert references.on_device(instance) is there


def test_a_closed_form_on_the_device_is_moved_and_kept_apart_from_that_of_the_cpu(
    cell, counted, tmp_path, monkeypatch
) -> None:
    asked = cell("tanh_field", dtype="float32")
    by_numpy = set_up(asked, cache=tmp_path).reference
    monkeypatch.setattr(references, "on_device", lambda instance: True)
    first, again = (set_up(asked, cache=tmp_path).reference for _ in range(2))
    assert counted == ["tanh_field"] * 2
    for found in (first, again):
        assert (found.source, found.dtype, found.closed) == ("closed form in float64 on cpu", torch.float64, True)
        assert np.abs(found.diagonal - by_numpy.diagonal).max() < 1e-15
        assert 0 < found.error("divergence") < 1e-13
    assert by_numpy.closed
    assert by_numpy.change is None


def test_a_dense_matrix_is_no_closed_form(cell, tmp_path) -> None:
    instance = problem(torch.sin).instance(3, 2)
    assert [find_reference(instance, cell("mine"), tmp_path).closed for _ in range(2)] == [False, False]
