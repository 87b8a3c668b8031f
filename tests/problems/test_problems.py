"""What every problem in the table keeps to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vmap

from jacstrat.core.errors import UsageError
from jacstrat.problems import FAMILIES, PROBLEMS, Instance, Problem

pytestmark = pytest.mark.long(but_one_in=3)

EVERY = tuple(PROBLEMS.values())
CLOSED = tuple(problem for problem in EVERY if problem.diagonal is not None)
# f(x) at three points, where each has several outputs.
OUTPUTS = {"tanh_outputs": (3, 3)}
each = pytest.mark.parametrize("problem", EVERY, ids=lambda problem: problem.name)
each_closed = pytest.mark.parametrize("problem", CLOSED, ids=lambda problem: problem.name)


def some_sizes(problem: Problem) -> list[int]:
    return [n for n in (1, 2, 3, 4, 5, 6, 8, 9, 12) if problem.refuse(n) is None]


def middle(problem: Problem) -> int:
    """A size of some coordinates, where the problem has one."""
    return next(n for n in (8, 9, *problem.sizes) if problem.refuse(n) is None)


def dense(instance: Instance, outer: Callable = jacrev, inner: Callable = jacrev) -> Tensor:
    """Jacobians, or Hessians, of all rows: (B, n, n), or (B, m, n, n) of m outputs."""
    f = instance.f
    matrix = outer(f) if instance.problem.kind == "field" else outer(inner(f))
    return vmap(matrix)(instance.x, *instance.args).detach()


def entries(problem: Problem) -> str:
    """The operator that is the diagonal of J or H."""
    return "jacobian_diagonal" if problem.kind == "field" else "hessian_diagonal"


def outputs(matrices: Tensor) -> Tensor:
    """Matrices of m outputs added up: (B, n, n)."""
    return matrices if matrices.dim() == 3 else matrices.sum(1)


def test_names_are_unique_and_listed_once() -> None:
    names = Counter(problem.name for family in FAMILIES.values() for problem in family)
    assert [name for name, count in names.items() if count > 1] == []
    assert list(PROBLEMS) == list(names)
    assert all(PROBLEMS[name].name == name for name in names)


def test_no_problem_is_lost_or_changes_places() -> None:
    before = (
        "sin sin_sum seed_product squared_norm seed_coupled "
        "linear softmax cubic "
        "lorenz96 bratu burgers bratu_2d graph_diffusion convolution "
        "sine_product cosine_sum bilinear log_quadratic gaussian logsumexp quadratic rosenbrock exponential "
        "inverse_distance two_body three_body "
        "lennard_jones "
        "tanh_field tanh_scalar tanh_outputs "
        "pinn_tanh pinn_sine plane_waves "
        "heat fokker_planck poisson taylor_green plate korteweg_de_vries "
        "flow conditional_flow "
        "score_gelu score_silu "
        "wavefunction log_psi "
        "decaying"
    )
    assert " ".join(name for name in PROBLEMS if name in before.split()) == before


def test_only_the_wavefunction_has_no_closed_form() -> None:
    assert [problem.name for problem in EVERY if problem not in CLOSED] == ["wavefunction"]
    assert PROBLEMS["wavefunction"].answer.startswith("none known")
    reference = PROBLEMS["wavefunction"].instance(6, batch=1, dtype=torch.float32).reference("laplacian")
    assert reference.source == "dense autograd in float64"


def test_table_is_read_only() -> None:
    with pytest.raises(TypeError, match="does not support item assignment"):
        PROBLEMS["sin"] = PROBLEMS["linear"]  # type: ignore[index]


@each
def test_words_are_one_line_each(problem: Problem) -> None:
    for words in (problem.formula, problem.answer, problem.domain, problem.origin):
        assert words
        assert words == " ".join(words.split())


@each
def test_sizes_rise_and_are_not_refused(problem: Problem) -> None:
    assert list(problem.sizes) == sorted(set(problem.sizes))
    assert [n for n in problem.sizes if problem.refuse(n) is not None] == []


@each
def test_diagonal_is_that_of_the_dense_matrix(problem: Problem) -> None:
    for n in some_sizes(problem):
        instance = problem.instance(n, batch=3, seed=n)
        reference = instance.reference(entries(problem))
        error = np.abs(dense(instance).diagonal(dim1=-2, dim2=-1).numpy() - reference.diagonal)
        assert error.max() <= 1e-12 * np.abs(reference.diagonal).max(), n


@each
@pytest.mark.parametrize(
    ("outer", "inner"), [(jacfwd, jacrev), (jacrev, jacfwd), (jacfwd, jacfwd)], ids=["fr", "rf", "ff"]
)
def test_every_mode_gives_the_same_matrix(problem: Problem, outer: Callable, inner: Callable) -> None:
    instance = problem.instance(middle(problem), batch=2)
    expected = dense(instance)
    torch.testing.assert_close(
        dense(instance, outer, inner), expected, rtol=0, atol=1e-12 * float(expected.abs().max())
    )


@each
def test_batch_of_products_without_vmap_over_the_batch(problem: Problem) -> None:
    # As the strategies do it: the function sees (B, n), the products take it whole.
    instance = problem.instance(middle(problem), batch=3)
    f, v = instance.f, torch.linspace(-1, 2, middle(problem), dtype=torch.float64)
    args = instance.args
    F = (lambda x: f(x, *args)) if problem.kind == "field" else grad(lambda x: f(x, *args).sum())
    (_, product) = jvp(F, (instance.x,), (v.expand_as(instance.x),))
    torch.testing.assert_close(product.detach(), outputs(dense(instance)) @ v, rtol=1e-12, atol=1e-12)


@each
def test_plain_autograd_twice(problem: Problem) -> None:
    instance = problem.instance(middle(problem), batch=2)
    x = instance.x.requires_grad_()
    y = instance.value()
    if problem.kind == "scalar":
        (y,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    rows = [torch.autograd.grad(y[:, i].sum(), x, retain_graph=True)[0] for i in range(x.shape[-1])]
    expected = outputs(dense(problem.instance(middle(problem), batch=2)))
    torch.testing.assert_close(torch.stack(rows, 1), expected, rtol=1e-12, atol=1e-12)


@each
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_shapes_dtype_and_device(problem: Problem, dtype: torch.dtype, device: str) -> None:
    n = middle(problem)
    instance = problem.instance(n, batch=3, dtype=dtype, device=device)
    y, single = instance.value(), instance.f(instance.x[0], *(arg[0] for arg in instance.args))
    assert y.shape == ((3, n) if problem.kind == "field" else OUTPUTS.get(problem.name, (3,)))
    assert single.shape == y.shape[1:]
    assert (y.dtype, y.device.type) == (dtype, device)
    assert (single.dtype, single.device.type) == (dtype, device)


@each
def test_meta_carries_second_derivatives(problem: Problem) -> None:
    n = middle(problem)
    instance = problem.instance(n, batch=3, device="meta")
    matrix = vmap(jacrev(instance.f) if problem.kind == "field" else hessian(instance.f))(instance.x, *instance.args)
    assert matrix.shape == (*OUTPUTS.get(problem.name, (3,)), n, n)
    assert matrix.device.type == "meta"


@each
def test_rows_do_not_know_each_other(problem: Problem) -> None:
    instance = problem.instance(middle(problem), batch=3)
    others = problem.instance(middle(problem), batch=3, seed=1).x
    mixed = torch.stack((others[0], instance.x[1], others[2]))
    y, args = instance.value(), instance.args
    assert torch.equal(instance.f(mixed, *args)[1], y[1])
    for row in range(3):
        single = instance.f(instance.x[row], *(arg[row] for arg in args))
        torch.testing.assert_close(single, y[row], rtol=1e-14, atol=1e-14)


@each_closed
def test_diagonal_of_one_point_is_its_row(problem: Problem) -> None:
    instance = problem.instance(middle(problem), batch=3)
    weights = {name: value.detach().numpy() for name, value in instance.parameters.items()}
    x = instance.x.numpy()
    assert problem.diagonal is not None
    args = [arg.numpy() for arg in instance.args]
    rows = problem.diagonal(x, *args, **weights)
    for row in range(3):
        single = problem.diagonal(x[row], *(arg[row] for arg in args), **weights)
        np.testing.assert_allclose(single, rows[row], rtol=1e-13, atol=1e-13)


@each_closed
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
def test_diagonal_keeps_the_precision_of_x(problem: Problem, dtype: type) -> None:
    instance = problem.instance(middle(problem), batch=2)
    weights = {name: value.detach().numpy().astype(dtype) for name, value in instance.parameters.items()}
    assert problem.diagonal is not None
    args = [arg.numpy().astype(dtype) for arg in instance.args]
    diagonal = problem.diagonal(instance.x.numpy().astype(dtype), *args, **weights)
    assert diagonal.dtype == dtype
    assert diagonal.shape == (2, *OUTPUTS.get(problem.name, (3,))[1:], middle(problem))


# From narrow to wide; a band goes around the ring, two to either side, and a sparse row has a few entries anywhere.
STRUCTURES: dict[str, Callable[[np.ndarray], bool]] = {
    "diagonal": lambda J: not J[_distance(len(J)) > 0].any(),
    "tridiagonal": lambda J: not J[_distance(len(J)) > 1].any(),
    "banded": lambda J: not J[np.minimum(_distance(len(J)), len(J) - _distance(len(J))) > 2].any(),
    "sparse": lambda J: bool((J != 0).sum(1).max() <= 7),
    "dense": lambda J: True,
}


def _distance(n: int) -> np.ndarray:
    return np.abs(np.subtract.outer(np.arange(n), np.arange(n)))


@each
def test_structure_is_true_and_no_narrower_one_is(problem: Problem) -> None:
    n = next(n for n in (16, 15, *problem.sizes) if problem.refuse(n) is None)
    J = dense(problem.instance(n, batch=2)).abs().reshape(-1, n, n).numpy().max(0)
    assert STRUCTURES[problem.structure](J)
    for structure, fits in STRUCTURES.items():
        if structure == problem.structure:
            break
        # At n = 2 or 3, where every matrix fits, nothing can be told.
        assert fits(np.ones((n, n))) or not fits(J), structure


@each
def test_same_seed_same_numbers(problem: Problem) -> None:
    n = middle(problem)
    one, two, other = problem.instance(n, 2), problem.instance(n, 2), problem.instance(n, 2, seed=1)
    assert torch.equal(one.x, two.x)
    # Row 0 is the post's point in some, whatever the seed.
    assert not torch.equal(one.x[1], other.x[1])
    for name, value in one.parameters.items():
        assert torch.equal(value, two.parameters[name])


@each
def test_weights_and_first_rows_stay_when_the_batch_grows(problem: Problem) -> None:
    n = middle(problem)
    small, large = problem.instance(n, 2), problem.instance(n, 5)
    assert torch.equal(small.x, large.x[:2])
    assert all(torch.equal(a, b[:2]) for a, b in zip(small.args, large.args, strict=True))
    assert small.parameters.keys() == large.parameters.keys()
    for name, value in small.parameters.items():
        assert torch.equal(value, large.parameters[name])


# The last biases move no derivative; everything else does.
IDLE = {
    "convolution": ["e"],
    "tanh_field": ["b3"],
    "tanh_scalar": ["b4"],
    "tanh_outputs": ["b4"],
    "flow": ["b3", "d3"],
    "conditional_flow": ["b3", "d3"],
    "score_gelu": ["b_out"],
    "score_silu": ["b_out"],
}


@pytest.mark.parametrize("name", [p.name for p in EVERY if p.instance(middle(p), 1).parameters])
def test_results_are_differentiable_in_the_parameters(name: str) -> None:
    problem = PROBLEMS[name]
    instance = problem.instance(middle(problem), batch=2)
    parameters = list(instance.parameters.values())
    matrix = jacrev(instance.f) if problem.kind == "field" else hessian(instance.f)
    trace = vmap(matrix)(instance.x, *instance.args).diagonal(dim1=-2, dim2=-1)
    gradients = torch.autograd.grad(trace.square().sum(), parameters, materialize_grads=True)
    idle = [key for key, g in zip(instance.parameters, gradients, strict=True) if not g.any()]
    assert idle == IDLE.get(name, [])


@each
@pytest.mark.parametrize("n", [0, -1])
def test_sizes_below_one_are_refused(problem: Problem, n: int) -> None:
    with pytest.raises(UsageError, match=rf"^n must be a positive integer, got {n}$"):
        problem.instance(n, batch=1)


@pytest.mark.parametrize(
    ("name", "n", "message"),
    [
        ("seed_product", 3, "seed_product cannot have n = 3: n must be 2"),
        ("seed_coupled", 4, "seed_coupled cannot have n = 4: n must be 3"),
        ("lorenz96", 3, "lorenz96 cannot have n = 3: n must be at least 4"),
        ("burgers", 2, "burgers cannot have n = 2: n must be at least 3"),
        ("bilinear", 5, "bilinear cannot have n = 5: n must be even"),
        ("rosenbrock", 1, "rosenbrock cannot have n = 1: n must be at least 2"),
        ("two_body", 1, "two_body cannot have n = 1: n must be at least 2"),
        ("three_body", 2, "three_body cannot have n = 2: n must be at least 3"),
        ("bratu_2d", 8, "bratu_2d cannot have n = 8: n must be a square, m^2"),
        ("graph_diffusion", 2, "graph_diffusion cannot have n = 2: n must be at least 3"),
        ("convolution", 2, "convolution cannot have n = 2: n must be at least 3"),
        (
            "lennard_jones",
            3,
            "lennard_jones cannot have n = 3: n must be a multiple of 3, at least 6: three coordinates a particle",
        ),
        ("taylor_green", 2, "taylor_green cannot have n = 2: n must be 3, x, y and t"),
        ("korteweg_de_vries", 3, "korteweg_de_vries cannot have n = 3: n must be 2, x and t"),
        (
            "wavefunction",
            8,
            "wavefunction cannot have n = 8: n must be a multiple of 3, at least 6: three coordinates a particle",
        ),
    ],
)
def test_refusals_say_which_sizes_are_possible(name: str, n: int, message: str) -> None:
    with pytest.raises(UsageError) as error:
        PROBLEMS[name].instance(n, batch=1)
    assert str(error.value) == message


def test_only_the_named_problems_refuse_a_size() -> None:
    refusing = {problem.name for problem in EVERY if any(problem.refuse(n) for n in range(1, 6))}
    assert refusing == {
        "seed_product", "seed_coupled", "lorenz96", "burgers", "bilinear", "rosenbrock", "two_body", "three_body",
        "bratu_2d", "graph_diffusion", "convolution", "lennard_jones", "wavefunction", "log_psi", "taylor_green",
        "korteweg_de_vries",
    }  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", ["sine_product", "gaussian", "exponential", "inverse_distance"])
def test_value_stays_of_order_one_at_large_n(name: str, dtype: torch.dtype) -> None:
    for n in (10, 1000):
        instance = PROBLEMS[name].instance(n, batch=16, dtype=dtype)
        u = instance.f(instance.x)
        assert float(u.min()) > 0.05
        assert float(u.max()) < 3
