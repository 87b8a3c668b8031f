"""Weights: tr(A J) and tr(A H) by every exact strategy, against A contracted with the whole matrix."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from jacstrat import OPERATORS, ShapeError, UsageError, divergence, laplacian, parse_strategy
from jacstrat.core.operator import Operator
from jacstrat.strategies import default_strategies
from tests.share import shared

pytestmark = pytest.mark.long(but_one_in=3)

B, N = 6, 4
SPECS = [name for name in default_strategies() if not parse_strategy(name).stochastic and name != "ones"]
each = pytest.mark.parametrize("spec", SPECS)
generator = torch.Generator().manual_seed(0)
A = torch.randn(N, N, generator=generator, dtype=torch.float64)
v = torch.randn(N, generator=generator, dtype=torch.float64)
P = torch.randn(N, N, generator=generator, dtype=torch.float64)
X = torch.randn(B, N, generator=generator, dtype=torch.float64)


def rows(x: Tensor) -> Tensor:
    """A diagonal of either sign at each point."""
    return x.sin() + 0.2


def matrices(x: Tensor) -> Tensor:
    """sigma sigma^T at each point, of rank 1, and something indefinite."""
    return x.unsqueeze(-1) * x.unsqueeze(-2) + 0.5 * A


WEIGHTS = {
    "diagonal": torch.tensor([1.0, 0.0, 2.0, 0.5]).double(),
    "diagonal of both signs": torch.tensor([1.0, -1.0, 2.0, 0.0]).double(),
    "numbers": [1.0, 2.0, 0.0, -1.0],
    "matrix": A,
    "definite": A @ A.mT,
    "negative": -A @ A.mT,
    "of rank 1": torch.outer(v, v),
    "of rank 1, not symmetric": torch.outer(v, A[0]),
    "of rank 2, indefinite": torch.outer(v, v) - torch.outer(A[0], A[0]),
    "nothing": torch.zeros(N, N).double(),
    "rows": rows(X),
    "matrices": matrices(X),
    "rows of the point": rows,
    "matrices of the point": matrices,
}
a_share = pytest.mark.parametrize(
    ("spec", "kind"),
    [
        (spec, kind)
        for row, spec in enumerate(SPECS)
        for column, kind in enumerate(WEIGHTS)
        if shared(row, column, share=5)
    ],
)


def scalar(x: Tensor) -> Tensor:
    return (x @ P.mT).tanh().sum(-1) + x.prod(-1)


def field(x: Tensor) -> Tensor:
    return (x @ P.mT).tanh() + x * x.sum(-1, keepdim=True)


SEVERAL = {
    "outputs": lambda x: (x @ P.mT).tanh(),
    "complex": lambda x: torch.exp(1j * scalar(x)),
    "complex outputs": lambda x: torch.exp(1j * (x @ P.mT)),
}


def whole(kind: str) -> Tensor:
    """The weight as a matrix at each point."""
    given = WEIGHTS[kind]
    found = given(X) if callable(given) else torch.as_tensor(given, dtype=torch.float64)
    is_diagonal = found.dim() == 1 or kind.startswith("rows")
    return (torch.diag_embed(found) if is_diagonal else found).expand(B, N, N)


def contracted(kind: str, J: Tensor, S: list[int] | None = None) -> Tensor:
    W = whole(kind)
    if S is not None:
        W, J = W[:, S][:, :, S], J[:, S][:, :, S]
    return (W * J.mT).sum((-1, -2))


@a_share
def test_of_a_hessian(spec: str, kind: str) -> None:
    if (reason := parse_strategy(spec).refuse(OPERATORS["laplacian"])) is not None:
        pytest.skip(reason)
    H = torch.func.vmap(torch.func.hessian(scalar))(X)
    with torch.no_grad():
        found = laplacian(scalar, X, spec, weight=WEIGHTS[kind])
        torch.testing.assert_close(found, contracted(kind, H), rtol=1e-9, atol=1e-9)
        for S in ([1, 3], [0, 2]):
            found = laplacian(scalar, X, spec, weight=WEIGHTS[kind], coordinates=S[::-1])
            torch.testing.assert_close(found, contracted(kind, H, S), rtol=1e-9, atol=1e-9)


@a_share
def test_of_a_jacobian(spec: str, kind: str) -> None:
    if (reason := parse_strategy(spec).refuse(OPERATORS["divergence"])) is not None:
        pytest.skip(reason)
    if spec == "chain":
        pytest.skip("it is no chain; see below")
    J = torch.func.vmap(torch.func.jacrev(field))(X)
    with torch.no_grad():
        found = divergence(field, X, spec, weight=WEIGHTS[kind])
        torch.testing.assert_close(found, contracted(kind, J), rtol=1e-9, atol=1e-9)
        for S in ([1, 3], [0, 2]):
            found = divergence(field, X, spec, weight=WEIGHTS[kind], coordinates=S[::-1])
            torch.testing.assert_close(found, contracted(kind, J, S), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", ["diagonal", "matrix", "of rank 1", "rows of the point"])
def test_a_chain_folds_a_weight(kind: str) -> None:
    V = torch.randn(N, 8, generator=torch.Generator().manual_seed(3), dtype=torch.float64)

    def network(x: Tensor) -> Tensor:
        return (x @ V).tanh() @ V.mT

    J = torch.func.vmap(torch.func.jacrev(network))(X)
    with torch.no_grad():
        prepared = parse_strategy("chain").prepare(
            Operator("divergence", "field", 1, "trace", weight=WEIGHTS[kind]), network, X
        )
    torch.testing.assert_close(prepared(X), contracted(kind, J), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("spec", ["hutchinson:probes=4000", "hutch++:probes=3000", "xtrace:probes=3000"])
def test_random_probes_take_a_weight_through_its_factor(spec: str) -> None:
    H = torch.func.vmap(torch.func.hessian(scalar))(X)
    for kind in ("definite", "of rank 1", "rows of the point"):
        found = laplacian(scalar, X, spec, torch.Generator().manual_seed(0), weight=WEIGHTS[kind])
        torch.testing.assert_close(found, contracted(kind, H), rtol=0.3, atol=0.8)
    # One direction is all that rank 1 has: there is nothing left to chance.
    found = laplacian(scalar, X, "hutchinson:probes=1", weight=WEIGHTS["of rank 1"])
    torch.testing.assert_close(found, contracted("of rank 1", H))


def test_a_weight_that_is_written_into_is_factorised_anew() -> None:
    weight = torch.outer(v, v)
    before = laplacian(scalar, X, "taylor", weight=weight)
    with torch.no_grad():
        weight.mul_(2)
    torch.testing.assert_close(laplacian(scalar, X, "taylor", weight=weight), 2 * before)


@pytest.mark.parametrize("shape", [(3,), (3, 3), (B, 3), (B, N, 3), (B + 1, N, N), (N, N, N)])
def test_a_weight_of_another_shape_is_refused_with_those_that_fit(shape: tuple[int, ...]) -> None:
    with pytest.raises(
        ShapeError, match=r"weight must have shape \(4,\), \(4, 4\), \(6, 4\) or \(6, 4, 4\) for x of shape"
    ):
        laplacian(scalar, X, weight=torch.ones(shape, dtype=torch.float64))
    with pytest.raises(ShapeError, match=r"the weight must give \(6, 4\) or \(6, 4, 4\) for x of shape \(6, 4\), got"):
        laplacian(scalar, X, weight=lambda x: torch.ones(shape, dtype=torch.float64))


def test_a_problem_s_own_weight_needs_a_problem() -> None:
    with pytest.raises(UsageError, match="weight=own is that of a problem, and there is none here"):
        laplacian(scalar, X, weight="own")


def test_a_weight_is_differentiated() -> None:
    k = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    H = torch.func.vmap(torch.func.hessian(scalar))(X)
    for spec in ("identity", "vmap", "jvp", "auto"):
        total = laplacian(scalar, X, spec, weight=lambda x: k * matrices(x)).sum()
        (found,) = torch.autograd.grad(total, k)
        torch.testing.assert_close(found, contracted("matrices", H).sum())


@pytest.mark.parametrize("S", [None, (0, 1, 2, 3), (2, 0)])
@pytest.mark.parametrize("name", ["outputs", "complex", "complex outputs"])
@pytest.mark.parametrize("spec", ["identity", "vmap", "jvp", "auto"])
def test_a_weight_of_several_numbers_is_differentiated(spec: str, name: str, S: tuple[int, ...] | None) -> None:
    u, K = SEVERAL[name], A.clone().requires_grad_()
    places = list(S or range(N))
    expected = torch.zeros_like(A)
    for part in ("real", "imag") if u(X).is_complex() else ("real",):
        H = torch.func.vmap(torch.func.hessian(lambda x, part=part: getattr(u(x), part)))(X)
        block = H.reshape(-1, N, N).sum(0)[places][:, places]
        expected[torch.tensor(places)[:, None], torch.tensor(places)] += block
    for weight in (K, lambda x: K.expand(len(x), N, N)):
        result = laplacian(u, X, spec, weight=weight, coordinates=S)
        total = result.real.sum() + result.imag.sum() if result.is_complex() else result.sum()
        (found,) = torch.autograd.grad(total, K)
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("spec", ["identity", "vmap", "taylor", "chain", "auto"])
@pytest.mark.parametrize("kind", ["diagonal", "matrix", "of rank 1"])
def test_what_is_written_into_a_weight_is_seen(spec: str, kind: str) -> None:
    name, f = ("divergence", lambda x: (x @ P.mT).tanh()) if spec == "chain" else ("laplacian", scalar)
    weight = WEIGHTS[kind].clone()
    with torch.no_grad():
        prepared = parse_strategy(spec).prepare(replace(OPERATORS[name], weight=weight), f, X)
        before = prepared(X)
        weight.mul_(2)
        torch.testing.assert_close(prepared(X), 2 * before)
        weight.data.mul_(2)  # which leaves no sign on the tensor
        torch.testing.assert_close(prepared(X), 4 * before)
        direct = parse_strategy(spec).apply(replace(OPERATORS[name], weight=weight), f, X)
        torch.testing.assert_close(direct, 4 * before)


@pytest.mark.parametrize("spec", ["identity", "vmap", "jvp", "taylor", "auto"])
@pytest.mark.parametrize("kind", ["diagonal", "matrix", "of rank 1"])
def test_a_weight_whose_factors_are_first_asked_for_in_a_transform(spec: str, kind: str) -> None:
    weight = WEIGHTS[kind].clone()
    scale = torch.tensor(2.0, dtype=torch.float64)

    def total(scale: Tensor) -> Tensor:
        return laplacian(lambda x, c: c * scalar(x), X, spec, args=(scale,), weight=weight).sum()

    expected = laplacian(scalar, X, "identity", weight=WEIGHTS[kind].clone()).sum()
    torch.testing.assert_close(torch.func.grad(total)(scale), expected)
    torch.testing.assert_close(total(scale), 2 * expected)


@pytest.mark.parametrize("spec", ["identity", "vmap", "jvp", "auto"])
def test_weights_under_vmap(spec: str) -> None:
    weights = torch.stack([WEIGHTS["matrix"], 2 * WEIGHTS["matrix"]])
    found = torch.func.vmap(lambda A: laplacian(scalar, X, spec, weight=A))(weights)
    expected = laplacian(scalar, X, spec, weight=WEIGHTS["matrix"])
    torch.testing.assert_close(found, torch.stack((expected, 2 * expected)))


def test_a_weight_of_numpy_serves_each_point() -> None:
    found = laplacian(scalar, X, "vmap", weight=matrices(X).numpy())
    torch.testing.assert_close(found, laplacian(scalar, X, "vmap", weight=matrices(X)))


def test_a_weight_that_is_trained_is_followed() -> None:
    H = torch.func.vmap(torch.func.hessian(scalar))(X)
    for at in (X, X[0]):
        for shape in ((N,), (N, N)):
            weight = torch.ones(shape, dtype=torch.float64, requires_grad=True)
            prepared = parse_strategy("vmap").prepare(replace(OPERATORS["laplacian"], weight=weight), scalar, at)
            with torch.no_grad():
                weight.mul_(3)
            (found,) = torch.autograd.grad(prepared(at).sum(), weight)
            every = (H if at is X else H[:1]).sum(0)
            torch.testing.assert_close(found, every if len(shape) == 2 else every.diagonal())


@pytest.mark.parametrize("spec", ["vmap", "taylor", "auto"])
def test_numbers_have_all_their_digits(spec: str) -> None:
    numbers = [0.1, 0.2, 0.3, 0.4]
    for operator, f in ((laplacian, scalar), (divergence, torch.sin)):
        if spec == "taylor" and operator is divergence:
            continue
        found = operator(f, X, spec, weight=numbers)
        expected = operator(f, X, spec, weight=torch.tensor(numbers, dtype=torch.float64))
        torch.testing.assert_close(found, expected, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_weight_of_no_numbers_is_refused(bad: float) -> None:
    for weight in ([1.0, bad, 1.0, 1.0], torch.diag(torch.tensor([1.0, bad, 1.0, 1.0]).double())):
        for operator, f in ((laplacian, scalar), (divergence, torch.sin)):
            with pytest.raises(UsageError, match="weight must have finite numbers, and has inf or nan"):
                operator(f, X, weight=weight)


def test_a_complex_weight_is_refused() -> None:
    with pytest.raises(
        UsageError, match=r"weight must have real numbers, got torch.complex128; the operator is linear"
    ):
        laplacian(scalar, X, weight=torch.ones(N, dtype=torch.complex128))


@pytest.mark.parametrize("spec", ["vmap", "taylor", "auto"])
@pytest.mark.parametrize("sign", [1, -1])
def test_no_number_of_a_diagonal_is_taken_for_rounding(spec: str, sign: int) -> None:
    small, large = torch.tensor([1, sign * 1e-9, 0, 1]), torch.tensor([0, 1e9, 0, 0])
    for weight in (small, torch.diag(small)):
        found = laplacian(lambda x: (large * x.square()).sum(-1), X.float(), spec, weight=weight)
        torch.testing.assert_close(found, torch.full((B,), sign * 2.0))
        if spec != "taylor":
            found = divergence(lambda x: large * x, X.float(), spec, weight=weight)
            torch.testing.assert_close(found, torch.full((B,), sign * 1.0))


def test_a_positive_diagonal_leaves_a_sparse_hessian_as_it_is() -> None:
    x, d = torch.randn(3, 40, dtype=torch.float64), torch.rand(40, dtype=torch.float64) + 0.1

    def line(x: Tensor) -> Tensor:
        return (x[..., 1:] * x[..., :-1]).sin().sum(-1)

    prepared = parse_strategy("coloring").prepare(replace(OPERATORS["laplacian"], weight=d), line, x)
    assert "2 colours of n = 40" in prepared.reason
    torch.testing.assert_close(prepared(x), laplacian(line, x, "identity", weight=torch.diag(d)))


@pytest.mark.parametrize(
    ("spec", "kind", "name"),
    [
        (spec, kind, name)
        for i, spec in enumerate(["identity", "vmap", "jvp", "taylor", "auto"])
        for j, kind in enumerate(["rows", "matrices", "rows of the point", "matrices of the point"])
        for k, name in enumerate(SEVERAL)
        if shared(i, j, k, share=2)
    ],
)
def test_several_numbers_of_a_scalar_with_a_weight_of_each_point(spec: str, kind: str, name: str) -> None:
    u, weight = SEVERAL[name], WEIGHTS[kind]
    found = laplacian(u, X, spec, weight=weight)
    parts = [u(X).real, u(X).imag] if u(X).is_complex() else [u(X)]
    expected = []
    for part in ("real", "imag")[: len(parts)]:
        outputs = torch.func.vmap(torch.func.hessian(lambda x, part=part: getattr(u(x), part)))(X)
        A = weight(X) if callable(weight) else weight
        A = torch.diag_embed(A) if A.dim() == 2 else A
        expected.append(torch.einsum("bij,b...ij->b...", (A + A.mT) / 2, outputs))
    torch.testing.assert_close(found, torch.complex(*expected) if len(expected) == 2 else expected[0])


@pytest.mark.parametrize(
    "kind", ["diagonal", "matrix", "rows", "matrices", "rows of the point", "matrices of the point"]
)
@pytest.mark.parametrize("spec", ["identity", "vmap", "jvp", "auto"])
def test_a_complex_field(spec: str, kind: str) -> None:
    weight = WEIGHTS[kind]
    found = divergence(lambda x: torch.exp(1j * (x @ P.mT)), X, spec, weight=weight)
    parts = [divergence(lambda x, g=g: g(x @ P.mT), X, spec, weight=weight) for g in (torch.cos, torch.sin)]
    torch.testing.assert_close(found, torch.complex(*parts))


def test_a_point_without_numbers_leaves_the_others() -> None:
    x = X.clone()
    x[2] = math.nan
    found = laplacian(scalar, x, "taylor", weight=rows)
    expected = laplacian(scalar, X, "taylor", weight=rows)
    others = [k for k in range(B) if k != 2]
    assert found[2].isnan()
    torch.testing.assert_close(found[others], expected[others])


def test_the_weight_of_a_point_of_several_axes() -> None:
    x = X.unflatten(-1, (2, 2))

    def u(x: Tensor) -> Tensor:
        return scalar(x.flatten(-2))

    for kind in ("diagonal", "matrix", "rows", "matrices"):
        weight = WEIGHTS[kind]
        lead = weight.shape[: weight.dim() - (1 if kind in ("diagonal", "rows") else 2)]
        times = 1 if kind in ("diagonal", "rows") else 2
        for given in (weight, weight.reshape(*lead, *(2, 2) * times)):
            found = laplacian(u, x, "vmap", event_dim=2, weight=given)
            torch.testing.assert_close(found, laplacian(scalar, X, "vmap", weight=weight))
    seen = []

    def squares(x: Tensor) -> Tensor:
        seen.append(x.shape[1:])
        return x.square()

    found = laplacian(u, x, "vmap", event_dim=2, weight=squares)
    torch.testing.assert_close(found, laplacian(scalar, X, "vmap", weight=torch.square))
    assert set(seen) == {(2, 2)}


def test_what_a_weight_raises_is_said_of_the_weight() -> None:
    with pytest.raises(UsageError, match="the weight, which is called as f is, raises TypeError: .*takes 1 positional"):
        laplacian(lambda x, t: scalar(x) * t.squeeze(-1), X, args=(torch.ones(B, 1),), weight=lambda x: x)
    prepared = parse_strategy("vmap").prepare(replace(OPERATORS["laplacian"], weight=rows(X)), scalar, X)
    with pytest.raises(ShapeError, match=r"the weight must have \(3, 4\) or \(3, 4, 4\) for x of shape \(3, 4\), got"):
        prepared(X[:3])


def tridiagonal(n: int) -> Tensor:
    """Positive definite."""
    side = torch.rand(n - 1, dtype=torch.float64)
    return torch.diag(torch.rand(n, dtype=torch.float64) + 2) + torch.diag(side, 1) + torch.diag(side.flip(0), -1)


LONG = torch.randn(3, 40, dtype=torch.float64)
LONG_P = torch.randn(5, 40, dtype=torch.float64)


def long_field(x: Tensor) -> Tensor:
    return (x @ LONG_P.mT).tanh() @ LONG_P + x.sin()


def long_scalar(x: Tensor) -> Tensor:
    return (x[..., 1:] * x[..., :-1]).sin().sum(-1) + (x @ LONG_P.mT).tanh().sum(-1)


@each
@pytest.mark.parametrize("sign", [1, -1])
def test_a_weight_of_few_entries_a_row(spec: str, sign: int) -> None:
    weight = sign * tridiagonal(40)
    for operator, f, dense in (
        (divergence, long_field, torch.func.jacrev(long_field)),
        (laplacian, long_scalar, torch.func.hessian(long_scalar)),
    ):
        if parse_strategy(spec).refuse(OPERATORS[operator.__name__]) is None:
            expected = torch.einsum("ij,bji->b", weight, torch.func.vmap(dense)(LONG))
            torch.testing.assert_close(operator(f, LONG, spec, weight=weight), expected)


def test_the_pattern_that_matters_is_that_of_the_weight_with_that_of_f() -> None:
    def band(x: Tensor) -> Tensor:
        padded = torch.nn.functional.pad(x, (1, 1))
        return padded[..., 2:] * x + padded[..., :-2].sin()

    def line(x: Tensor) -> Tensor:
        return (x[..., 1:] * x[..., :-1]).sin().sum(-1)

    weight = tridiagonal(40)
    for name, f, colors in (("divergence", band, 3), ("laplacian", line, 3)):
        prepared = parse_strategy("coloring").prepare(replace(OPERATORS[name], weight=weight), f, LONG)
        assert f"{colors} colours of n = 40" in prepared.reason
        dense = torch.func.jacrev(band) if name == "divergence" else torch.func.hessian(line)
        before = torch.einsum("ij,bji->b", weight, torch.func.vmap(dense)(LONG))
        torch.testing.assert_close(prepared(LONG), before)
        weight[0, 39] = weight[39, 0] = 0.5  # another pattern
        torch.testing.assert_close(prepared(LONG), torch.einsum("ij,bji->b", weight, torch.func.vmap(dense)(LONG)))
        weight[0, 39] = weight[39, 0] = 0.0


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("of_each_point", [False, True])
@pytest.mark.parametrize("spec", ["identity", "vmap", "taylor", "hessian", "auto"])
def test_coordinates_of_other_units_are_no_rounding(spec: str, of_each_point: bool, sign: int) -> None:
    units = torch.tensor([1e6, 1e-3, 1e-4], dtype=torch.float64)
    K = sign * units[:, None] * units * torch.tensor([[1.0, 0.1, 0.0], [0.1, 1.0, 0.2], [0.0, 0.2, 1.0]]).double()

    def u(x: Tensor) -> Tensor:
        return ((x / units).square() / 2).sum(-1)

    x = torch.ones(2, 3, dtype=torch.float64)
    weight = K.expand(2, 3, 3) if of_each_point else K
    torch.testing.assert_close(laplacian(u, x, spec, weight=weight), torch.full((2,), sign * 3.0).double())


@pytest.mark.parametrize("spec", ["identity", "jvp", "vmap", "auto"])
def test_coordinates_of_other_units_in_a_jacobian(spec: str) -> None:
    units = torch.tensor([1.0, 1e-8, 1e-8])
    K = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.1], [0.0, 0.1, 1.0]]) * units
    found = divergence(lambda x: x / units, torch.ones(2, 3), spec, weight=K)
    torch.testing.assert_close(found, torch.full((2,), 3.0))


@pytest.mark.parametrize(
    "weight", [torch.zeros(2, N), -torch.ones(2, N), torch.zeros(2, N, N), -torch.eye(N).expand(2, N, N)]
)
@pytest.mark.parametrize("spec", ["identity", "jvp", "taylor", "auto"])
def test_several_outputs_with_nothing_positive(spec: str, weight: Tensor) -> None:
    weight, x = weight.double(), X[:2]
    matrix = torch.diag_embed(weight) if weight.dim() == 2 else weight
    found = laplacian(lambda x: torch.stack((x.sin().sum(-1), x.sum(-1) ** 2), -1), x, spec, weight=weight)
    expected = (-(x.sin() * matrix.diagonal(dim1=-2, dim2=-1)).sum(-1), 2 * matrix.sum((-1, -2)))
    torch.testing.assert_close(found, torch.stack(expected, -1))


@pytest.mark.parametrize("spec", ["vmap", "taylor", "auto"])
@pytest.mark.parametrize("kind", ["diagonal", "matrix", "definite"])
def test_points_of_another_dtype_have_all_digits(spec: str, kind: str) -> None:
    operator = replace(OPERATORS["laplacian"], weight=WEIGHTS[kind])
    prepared = parse_strategy(spec).prepare(operator, lambda x: x.sin().prod(-1), X.float())
    expected = laplacian(lambda x: x.sin().prod(-1), X, "identity", weight=WEIGHTS[kind])
    torch.testing.assert_close(prepared(X), expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        (lambda x: (1 + 2j) * x, "weight must have real numbers, got torch.complex128"),
        (torch.eye(N).to_sparse(), r"weight must be dense, got layout torch.sparse_coo; give weight.to_dense\(\)"),
        (torch.eye(N, device="meta"), "weight must have numbers, and is on the meta device"),
        (np.array(["a", "b", "c", "d"]), "weight must have real numbers, got an array of <U1"),
        (np.array([1, "a", None, 2], dtype=object), "weight must have real numbers, got an array of object"),
        (np.float64(2), "weight must be a tensor .*, got np.float64"),
        (lambda x: x / x.dim(0), "the weight, which is called as f is, raises TypeError"),
        (lambda x: 1 // 0, "the weight, which is called as f is, raises ZeroDivisionError: integer division"),
    ],
)
def test_what_is_no_weight_is_told(weight: object, words: str) -> None:
    for call in (lambda: laplacian(scalar, X, weight=weight), lambda: divergence(field, X, weight=weight)):
        with pytest.raises(UsageError, match=words):
            call()


@pytest.mark.parametrize("shape", [(4,), (4, 4), (0, 4), (0, 4, 4)])
@pytest.mark.parametrize("spec", ["taylor", "taylor:compress=false", "jvp", "vmap", "hessian", "auto"])
def test_of_no_points_there_is_nothing(spec: str, shape: tuple[int, ...]) -> None:
    W, x = torch.ones(4, 3, dtype=torch.float64), torch.empty(0, 4, dtype=torch.float64)
    A = torch.ones(shape, dtype=torch.float64)
    assert laplacian(lambda x: torch.tanh(x @ W).prod(-1), x, spec, weight=A).shape == (0,)


@pytest.mark.parametrize("spec", ["identity", "taylor", "auto"])
def test_a_checkpoint_in_f_is_passed_with_a_weight_of_the_point(spec: str) -> None:
    def u(x: Tensor) -> Tensor:
        return (x.tanh() @ A).sin().sum(-1)

    def inside(x: Tensor) -> Tensor:
        return checkpoint(u, x, use_reentrant=False)

    expected = laplacian(u, X, "identity", weight=matrices)
    torch.testing.assert_close(laplacian(inside, X, spec, weight=matrices), expected)
