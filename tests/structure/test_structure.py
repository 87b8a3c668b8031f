"""What is said of a function: its kind, pattern, colours, and whether it is a proof."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch

from jacstrat import PROBLEMS, ShapeError, Structure, UsageError, detect_structure
from jacstrat.problems.base import Instance
from tests.share import shared
from tests.structure.truth import assert_superset, pattern_of, points, true_pattern

pytestmark = pytest.mark.long(but_one_in=3)


def operator_of(problem) -> str:
    return "laplacian" if problem.kind == "scalar" else "divergence"


def sizes(problem) -> list[int]:
    return [n for n in (3, 4, 7, 8) if problem.refuse(n) is None] or list(problem.sizes[:2])


@pytest.mark.parametrize(("row", "name"), enumerate(PROBLEMS))
def test_the_patterns_of_the_problems_are_exact(row: int, name: str) -> None:
    problem = PROBLEMS[name]
    ns = sizes(problem)
    for n in ns if len(ns) < 3 else [n for column, n in enumerate(ns) if shared(row, column, share=2)]:
        instance = problem.instance(n, 3, seed=1)
        operator = operator_of(problem)
        f = of_one_output(instance)
        found = detect_structure(f, instance.x, operator)
        assert found.source == "traced"
        assert (pattern_of(found) == true_pattern(f, instance.x, operator)).all() or name in DIAGONALS_AT_ZERO


def of_one_output(instance: Instance):
    """f at the arguments of one row; of several outputs the first."""
    args = tuple(arg[:1] for arg in instance.args)
    y = instance.f(instance.x, *instance.args)
    if instance.problem.kind == "scalar" and y.dim() == instance.x.dim():
        return lambda x: instance.f(x, *args)[..., 0]
    return (lambda x: instance.f(x, *args)) if args else instance.f


# u = sin: row 0 of the points begins with 0, where its second derivative is 0 too.
DIAGONALS_AT_ZERO = ("sin_sum",)


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_kind_is_what_the_problem_says(name: str) -> None:
    problem = PROBLEMS[name]
    n = sizes(problem)[-1]
    instance = problem.instance(n, 1)
    found = detect_structure(of_one_output(instance), instance.x, operator_of(problem))
    match problem.structure:
        case "diagonal":
            assert (found.kind, found.colors, found.bandwidth) == ("diagonal", 1, 0)
            assert found.blocks == (1,) * n
        case "tridiagonal":
            assert (found.kind, found.colors, found.bandwidth) == ("sparse", 2, 1)
        case "banded":
            assert found.kind == "sparse"
            assert found.colors < n
        case "dense" if name == "seed_product":
            # H = [[0, 1], [1, 2]].
            assert (found.kind, found.colors) == ("sparse", 2)
        case "dense":
            assert (found.kind, found.colors, found.bandwidth, found.blocks) == ("dense", n, n - 1, (n,))


def at(name: str, n: int) -> Structure:
    instance = PROBLEMS[name].instance(n, 1)
    return detect_structure(instance.f, instance.x, operator_of(PROBLEMS[name]))


@pytest.mark.parametrize(
    ("name", "n", "colors"),
    [("bratu", 9, 2), ("burgers", 8, 2), ("burgers", 9, 3), ("lorenz96", 9, 3), ("lorenz96", 10, 4), ("linear", 9, 9)],
)
def test_colours_of_the_problems(name: str, n: int, colors: int) -> None:
    assert at(name, n).colors == colors


def test_a_network_is_dense_and_a_network_of_blocks_has_blocks() -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.Tanh(), torch.nn.Linear(4, 6)).double()
    assert detect_structure(net, points(6)).kind == "dense"
    inner = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.GELU(), torch.nn.LayerNorm(8), torch.nn.Linear(8, 3))
    blocks = torch.nn.Sequential(torch.nn.Unflatten(-1, (4, 3)), inner.double(), torch.nn.Flatten(-2))
    found = assert_superset(blocks, points(12))
    assert (found.kind, found.colors, found.blocks) == ("sparse", 3, (3, 3, 3, 3))
    assert str(found) == "traced: 4 blocks of up to 3, 3 colours of n = 12"
    energy = assert_superset(lambda x: blocks(x).square().sum(-1), points(12), "laplacian")
    assert energy.blocks == (3, 3, 3, 3)


def test_weights_of_zero_are_no_structure_since_training_changes_them() -> None:
    W = torch.zeros(3, 3, dtype=torch.float64, requires_grad=True)
    assert detect_structure(lambda x: x @ W, points(3)).kind == "dense"
    assert detect_structure(lambda x: torch.where(W[0] > 0, x, x.roll(1, -1)), points(3)).colors == 3


def test_a_sine_is_diagonal_where_its_cosine_is_zero() -> None:
    found = detect_structure(lambda x: torch.sin(x).sum(-1), torch.zeros(1, 3), "laplacian")
    assert pattern_of(found).tolist() == np.eye(3, dtype=bool).tolist()


@pytest.mark.parametrize("x", [points(4)[0], points(4), points(4, 0), points(4, 1)], ids=lambda x: str(tuple(x.shape)))
def test_points_of_any_shape_give_the_same(x) -> None:
    for context in (torch.no_grad(), torch.inference_mode(), torch.enable_grad()):
        with context:
            assert str(detect_structure(lambda x: x + x.roll(1, -1), x)) == str(
                detect_structure(lambda x: x + x.roll(1, -1), points(4))
            )


def test_a_batch_of_one_may_be_squeezed_away() -> None:
    net = torch.nn.Linear(4, 1).double()
    assert detect_structure(lambda x: net(x.sin()).squeeze(), points(4), "laplacian").kind == "diagonal"


def test_what_does_not_depend_on_x_has_no_entries() -> None:
    found = detect_structure(lambda x: torch.ones_like(x), points(3))
    assert (found.kind, found.pattern.nnz, found.colors, found.bandwidth) == ("diagonal", 0, 1, 0)
    x = points(3)
    assert detect_structure(lambda argument: x.roll(1, -1)[: len(argument)] * 2, x).pattern.nnz == 0


def test_it_says_itself() -> None:
    assert str(at("bratu", 8)) == "traced: tridiagonal, bandwidth 1, 2 colours of n = 8"
    assert str(at("lorenz96", 9)) == "traced: banded around the ring, bandwidth 2, 3 colours of n = 9"
    assert str(at("sin", 4)) == "traced: diagonal, 1 colour of n = 4"
    assert str(at("linear", 4)) == "traced: dense, 4 colours of n = 4"
    pentadiagonal = detect_structure(lambda x: torch.nn.functional.pad(x, (2, 0))[..., :-2] + x, points(9))
    assert str(pentadiagonal) == "traced: 2 blocks of up to 5, 2 colours of n = 9"
    column = detect_structure(lambda x: x + x[..., :1], points(9))
    assert str(column) == "traced: sparse, bandwidth 8, 2 colours of n = 9"
    branch = detect_structure(lambda x: x if x.sum() > 0 else -x, points(4))
    assert repr(branch) == (
        "<Structure sampled: diagonal, 1 colour of n = 4; it depends on a value: aten._local_scalar_dense.default>"
    )


def test_a_shape_that_does_not_fit() -> None:
    with pytest.raises(ShapeError, match=r"the field must map \(2, 3\) to \(2, 3\), got \(2, 2\)"):
        detect_structure(lambda x: x[..., :2], points(3))
    with pytest.raises(ShapeError, match=r"the scalar must map \(2, 3\) to \(2,\), got \(3, 2\)"):
        detect_structure(lambda x: x.mT, points(3), "laplacian")
    with pytest.raises(ShapeError, match="the field must return one tensor, got tuple; return its one output"):
        detect_structure(lambda x: (x, x), points(3))
    with pytest.raises(UsageError, match=r"^unknown operator 'divergenze'; did you mean divergence\?$"):
        detect_structure(torch.sin, points(3), "divergenze")
    with pytest.raises(UsageError, match="^unknown operator 'wxyz'; known: bilaplacian, divergence, hess"):
        detect_structure(torch.sin, points(3), "wxyz")


LARGE = 100_000


def memory_of(f) -> tuple[Structure, int]:
    """The structure at n = 1e5 and the peak of what Python and NumPy allocated for it."""
    x = torch.zeros(1, LARGE)
    tracemalloc.start()
    try:
        return detect_structure(f, x), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "f", [lambda x: x.softmax(-1), lambda x: x.cumsum(-1), lambda x: x * x.norm(dim=-1, keepdim=True)]
)
def test_dense_at_a_large_n_makes_no_array_of_n_by_n(f) -> None:
    found, peak_bytes = memory_of(f)
    assert (found.kind, found.source, found.colors, found.pattern) == ("dense", "traced", LARGE, None)
    assert peak_bytes < 100 * 8 * LARGE


def test_stencils_at_a_large_n() -> None:
    instance = PROBLEMS["burgers"].instance(LARGE, 1)
    found, peak_bytes = memory_of(instance.f)
    assert (found.kind, found.colors, found.pattern.nnz) == ("sparse", 2, 3 * LARGE)
    assert peak_bytes < 200 * 8 * LARGE
