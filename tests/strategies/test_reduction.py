"""Every operator by every exact strategy that does not refuse it, against closed forms.

Outputs, coordinates, arguments, complex numbers, points of several axes; gradients in parameters, points and arguments.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from jacstrat import (
    OPERATORS,
    Operator,
    ShapeError,
    UnsupportedError,
    UsageError,
    bilaplacian,
    divergence,
    gradient,
    hessian_diagonal,
    jacobian_diagonal,
    laplacian,
    parse_operator,
    parse_strategy,
    value_and_divergence,
    value_gradient_laplacian,
)
from jacstrat.strategies import default_strategies
from jacstrat.strategies.stages import _index

B, N = 5, 4
SPECS = [name for name in default_strategies() if not parse_strategy(name).stochastic and name != "ones"]
SPECS += [
    "vmap:chunk_size=3",
    "jvp:chunk_size=all",
    "coloring:product=forward",
    "taylor:tile=2",
    "taylor:compress=false",
]
each = pytest.mark.parametrize("spec", SPECS)
dtypes = pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
a = torch.tensor([0.3, -0.2, 0.5, 0.1], dtype=torch.float64)
M = torch.tensor([[1.0, 0.5, 0.0, 0.2], [0.0, 2.0, -0.3, 0.1], [0.4, 0.0, 1.5, 0.0], [0.1, 0.3, 0.0, -1.0]]).double()


def points(dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(B, N, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)


def wave(x: Tensor) -> Tensor:
    """exp(a.x): lap = |a|^2 u, H_ii = a_i^2 u, lap lap = |a|^4 u."""
    return (x @ a.to(x.dtype)).exp()


def field(x: Tensor) -> Tensor:
    """sin(M x): J = diag(cos(M x)) M."""
    return (x @ M.to(x.dtype).mT).sin()


def serving(spec: str, operator: str | Operator) -> str:
    if (reason := parse_strategy(spec).refuse(parse_operator(operator))) is not None:
        pytest.skip(reason)
    return spec


def near(found: Tensor, expected: Tensor) -> None:
    tolerance = 1e-4 if found.dtype in (torch.float32, torch.complex64) else 1e-10
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected.to(found.dtype), rtol=tolerance, atol=tolerance)


@each
@dtypes
def test_operators_of_a_scalar(spec: str, dtype: torch.dtype) -> None:
    x = points(dtype)
    u = wave(x.double())
    if parse_strategy(spec).refuse(OPERATORS["laplacian"]) is None:
        near(laplacian(wave, x, spec), a @ a * u)
        near(laplacian(wave, x, spec, coordinates=(2, 0)), (a[0] ** 2 + a[2] ** 2) * u)
        near(laplacian(wave, x[0], spec), a @ a * u[0])
    if parse_strategy(spec).refuse(OPERATORS["hessian_diagonal"]) is None:
        near(hessian_diagonal(wave, x, spec), a**2 * u.unsqueeze(-1))
        near(hessian_diagonal(wave, x, spec, coordinates=(2, 0)), (a**2)[[2, 0]] * u.unsqueeze(-1))


@each
def test_the_bilaplacian(spec: str) -> None:
    serving(spec, "bilaplacian")
    x = points()
    near(bilaplacian(wave, x, spec), (a @ a) ** 2 * wave(x))
    near(bilaplacian(lambda x: (x[..., 0] * x[..., 1]).square(), x, spec), torch.full((B,), 8.0, dtype=x.dtype))


@each
@dtypes
def test_operators_of_a_field(spec: str, dtype: torch.dtype) -> None:
    serving(spec, "divergence")
    x = points(dtype)
    diagonal = (x.double() @ M.mT).cos() * M.diagonal()
    near(divergence(field, x, spec), diagonal.sum(-1))
    near(divergence(field, x, spec, coordinates=(1, 2)), diagonal[:, 1:3].sum(-1))
    near(divergence(field, x, spec, coordinates=(3, 0)), diagonal[:, [0, 3]].sum(-1))
    near(jacobian_diagonal(field, x, spec), diagonal)
    near(jacobian_diagonal(field, x, spec, coordinates=(3, 0)), diagonal[:, [3, 0]])
    near(divergence(field, x[0], spec, coordinates=(1,)), diagonal[0, 1])


@each
def test_a_field_of_more_or_fewer_outputs_over_some_coordinates(spec: str) -> None:
    serving(spec, "divergence")
    x = points()
    diagonal = (x @ M.mT).cos() * M.diagonal()
    near(divergence(lambda x: torch.cat((field(x), x), -1), x, spec, coordinates=(0, 1)), diagonal[:, :2].sum(-1))
    near(divergence(lambda x: field(x)[..., 2:], x, spec, coordinates=(2, 3)), diagonal[:, 2:].sum(-1))


@each
def test_each_output_of_a_scalar_is_one_by_itself(spec: str) -> None:
    serving(spec, "laplacian")
    x = points()
    c = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)

    def outputs(x: Tensor) -> Tensor:
        return torch.exp((x @ a).unsqueeze(-1) * c)

    sizes = a @ a * c**2
    near(laplacian(outputs, x, spec), sizes * outputs(x))
    near(laplacian(outputs, x[0], spec), sizes * outputs(x[0]))
    near(laplacian(lambda x: outputs(x)[..., :1], x, spec), (sizes * outputs(x))[:, :1])
    near(laplacian(outputs, x, spec, coordinates=(0, 1)), (a[:2] @ a[:2]) * c**2 * outputs(x))
    if parse_strategy(spec).refuse(OPERATORS["hessian_diagonal"]) is None:
        near(hessian_diagonal(outputs, x, spec), (c**2 * outputs(x)).unsqueeze(-1) * a**2)
        near(hessian_diagonal(lambda x: outputs(x)[..., :1], x, spec), outputs(x)[:, :1] * a**2)


@each
def test_complex_functions_are_their_two_parts(spec: str) -> None:
    x = points()

    def psi(x: Tensor) -> Tensor:
        return torch.complex(x @ a, 2 * (x @ a)).exp()

    if parse_strategy(spec).refuse(OPERATORS["laplacian"]) is None:
        k = torch.complex(a, 2 * a)
        near(laplacian(psi, x, spec), (k * k).sum() * psi(x))
        both = laplacian(lambda x: torch.stack((psi(x), psi(-x)), -1), x, spec)
        near(both, (k * k).sum() * torch.stack((psi(x), psi(-x)), -1))
    if spec != "chain" and parse_strategy(spec).refuse(OPERATORS["divergence"]) is None:
        diagonal = (x @ M.mT).cos() * M.diagonal()
        near(
            divergence(lambda x: torch.complex(field(x), x), x, spec), torch.complex(diagonal.sum(-1), 0 * x[:, 0] + N)
        )


@each
def test_points_of_several_axes(spec: str) -> None:
    x = points().view(B, 2, 2)
    flat = x.flatten(1)
    if parse_strategy(spec).refuse(OPERATORS["laplacian"]) is None:
        near(laplacian(lambda x: wave(x.flatten(-2)), x, spec, event_dim=2), a @ a * wave(flat))
        near(laplacian(lambda x: wave(x.flatten(-2)), x[0], spec, event_dim=2), a @ a * wave(flat)[0])
    if parse_strategy(spec).refuse(OPERATORS["divergence"]) is None:
        diagonal = (flat @ M.mT).cos() * M.diagonal()

        def shaped(x: Tensor) -> Tensor:
            return field(x.flatten(-2)).unflatten(-1, (2, 2))

        near(divergence(shaped, x, spec, event_dim=2), diagonal.sum(-1))
        near(jacobian_diagonal(shaped, x, spec, event_dim=2), diagonal.view(B, 2, 2))


def timed(x: Tensor, t: Tensor, k: float, name: str = "sin") -> Tensor:
    return getattr(x @ M.to(x.dtype).mT, name)() * t.exp() * k


@each
def test_arguments_go_with_their_rows_and_may_change(spec: str) -> None:
    x = points()
    t = torch.linspace(0, 1, B, dtype=torch.float64).unsqueeze(-1)
    if parse_strategy(spec).refuse(OPERATORS["divergence"]) is None:
        diagonal = (x @ M.mT).cos() * M.diagonal()
        near(divergence(timed, x, spec, args=(t, 2.0)), (2 * diagonal * t.exp()).sum(-1))
        prepared = parse_strategy(spec).prepare("divergence", timed, x, args=(t, 2.0))
        for step in (0.5, 1.0):
            near(prepared(x, t + step, 3.0 + step), ((3 + step) * diagonal * (t + step).exp()).sum(-1))
        near(divergence(timed, x[0], spec, args=(t[0], 2.0)), (2 * diagonal[0] * t[0].exp()).sum(-1))
        near(divergence(timed, x, spec, args=(t, 2.0), coordinates=(0, 2)), (2 * diagonal * t.exp())[:, [0, 2]].sum(-1))
    if parse_strategy(spec).refuse(OPERATORS["laplacian"]) is None:
        u = wave(x)
        near(laplacian(lambda x, t: wave(x) * t.squeeze(-1), x, spec, args=(t,)), a @ a * u * t[:, 0])
        both = laplacian(lambda x, t: torch.stack((wave(x), -wave(x)), -1) * t, x, spec, args=(t,))
        near(both, a @ a * torch.stack((u, -u), -1) * t)


@each
@pytest.mark.parametrize("length", [1, 2, 4, B * 2])
def test_arguments_that_are_no_rows_are_passed_as_they_are(spec: str, length: int) -> None:
    serving(spec, "laplacian")
    x, c = points(), torch.linspace(1, 2, length, dtype=torch.float64)
    shapes = []

    def u(x: Tensor, c: Tensor, mode: str) -> Tensor:
        shapes.append(tuple(c.shape))
        assert mode == "twice"
        return torch.stack((wave(x), 2 * wave(x)), -1) * c.sum()

    near(laplacian(u, x, spec, args=(c, "twice")), a @ a * torch.stack((wave(x), 2 * wave(x)), -1) * c.sum())
    assert set(shapes) == {(length,)}


def test_a_trace_serves_other_arguments(monkeypatch) -> None:
    def u(x: Tensor, t: Tensor, k: float) -> Tensor:
        return wave(x) * t.squeeze(-1) * k

    x, t = points(), torch.rand(B, 1, dtype=torch.float64)
    for spec in ("taylor", "taylor:tile=2"):
        prepared = parse_strategy(spec).prepare("laplacian", u, x, args=(t, 1.0))
        prepared(x, t, 1.0)
        monkeypatch.setattr("jacstrat.trace.cache.record", None)
        for step in range(3):
            near(prepared(x, t + step, 0.5 * step), a @ a * wave(x) * (t + step).squeeze(-1) * 0.5 * step)
        monkeypatch.undo()


@each
@pytest.mark.parametrize("operator", ["laplacian", "divergence"])
def test_gradients_in_parameters_points_and_arguments(spec: str, operator: str) -> None:
    serving(spec, operator)
    W = M.clone().requires_grad_()
    x = points().requires_grad_()
    t = torch.linspace(0.5, 1, B, dtype=torch.float64).unsqueeze(-1).requires_grad_()

    def u(x: Tensor, t: Tensor) -> Tensor:
        return ((x @ W.mT).tanh() * t).sum(-1) + (x[..., :1] * t).square().squeeze(-1)

    def F(x: Tensor, t: Tensor) -> Tensor:
        return (x @ W.mT).tanh() * t.square()

    f: Callable[..., Tensor] = u if operator == "laplacian" else F
    found, expected = (
        torch.autograd.grad(
            (parse_strategy(s).apply(operator, f, x, args=(t,)) * torch.linspace(1, 2, B)).sum(), (W, x, t)
        )
        for s in (spec, "identity")
    )
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-10)


def test_gradients_of_plain_reverse_mode_are_those_of_differences() -> None:
    x = points()[:2].requires_grad_()
    t = torch.rand(2, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()

    def u(x: Tensor, t: Tensor) -> Tensor:
        return ((x @ M.mT).tanh() * t).sum(-1)

    assert torch.autograd.gradcheck(lambda x, t: laplacian(u, x, "identity", args=(t,), coordinates=(0, 2)), (x, t))
    A = M.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x, t, A: laplacian(u, x, "identity", args=(t,), weight=A), (x, t, A))
    assert torch.autograd.gradcheck(
        lambda x, t: divergence(lambda x, t: (x @ M.mT).sin() * t, x, "vmap", args=(t,), weight=M), (x, t)
    )


@each
def test_value_gradient_and_laplacian_together(spec: str) -> None:
    serving(spec, "laplacian")
    x, t = points(), torch.rand(B, 1, dtype=torch.float64)

    def u(x: Tensor, t: Tensor) -> Tensor:
        return (x @ M.mT).sin().sum(-1, keepdim=True) * t

    def flat(x: Tensor, t: Tensor) -> Tensor:
        return u(x, t).squeeze(-1)

    def several(x: Tensor, t: Tensor) -> Tensor:
        return torch.cat((u(x, t), wave(x).unsqueeze(-1)), -1)

    for f in (u, flat, several):
        for keywords in ({}, {"coordinates": (0, 1)}, {"weight": M}):
            found = value_gradient_laplacian(f, x, spec, args=(t,), **keywords)
            near(found.value, f(x, t))
            near(found.gradient, gradient(f, x, (t,)))
            near(found.laplacian, laplacian(f, x, "identity", args=(t,), **keywords))
    boxed = value_gradient_laplacian(lambda x, t: flat(x.flatten(-2), t), x.view(B, 2, 2), spec, args=(t,), event_dim=2)
    near(boxed.gradient, gradient(flat, x, (t,)).view(B, 2, 2))


@each
def test_value_and_divergence_together(spec: str) -> None:
    serving(spec, "divergence")
    x, t = points(), torch.rand(B, 1, dtype=torch.float64)
    for keywords in ({}, {"coordinates": (0, 1)}, {"weight": M}):
        found = value_and_divergence(timed, x, spec, args=(t, 2.0), **keywords)
        near(found.value, timed(x, t, 2.0))
        near(found.divergence, divergence(timed, x, "identity", args=(t, 2.0), **keywords))


def test_the_kinetic_energy_of_a_hydrogen_like_state() -> None:
    """psi = exp(-k r): (lap psi) / psi = lap log psi + |grad log psi|^2 = k^2 - (n - 1) k / r."""
    x, k = points(), 1.3
    found = value_gradient_laplacian(lambda x: -k * x.norm(dim=-1), x, "taylor")
    near(found.laplacian + found.gradient.square().sum(-1), k**2 - (N - 1) * k / x.norm(dim=-1))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda x: laplacian(wave, x, coordinates=(0, 4)),
            UsageError,
            "coordinates: 4 is out of range for n = 4; the last one is 3",
        ),
        (lambda x: laplacian(wave, x, coordinates=(1, 1)), UsageError, "coordinates: 1 is given twice"),
        (lambda x: laplacian(wave, x, event_dim=3), ShapeError, r"with event_dim=3 x must be a point \(n1, n2, n3\)"),
        (
            lambda x: laplacian(wave, x, event_dim=0),
            UsageError,
            "event_dim must be a whole number of at least 1, got 0",
        ),
        (lambda x: divergence(wave, x), ShapeError, r"the field must map \(5, 4\) to \(5, 4\), got \(5,\)"),
        (
            lambda x: laplacian(lambda x, t: wave(x) * t, x, args=(torch.ones(3),)),
            UsageError,
            r"for x of shape \(5, 4\); args\[0\] has shape \(3,\), which is not of the rows of x: give it 5 rows",
        ),
    ],
)
def test_bad_input_is_told_in_a_line(call, error, message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        call(points())
    assert "\n" not in str(caught.value).strip()


def test_random_probes_are_no_part_of_a_bilaplacian() -> None:
    with pytest.raises(
        UnsupportedError, match="hutchinson cannot serve the bilaplacian: it would differentiate its own"
    ):
        bilaplacian(wave, points(), "hutchinson")


@pytest.mark.parametrize("spec", ["auto", "identity", "vmap", "jvp", "taylor"])
def test_inside_transforms_of_the_caller(spec: str) -> None:
    _index.cache_clear()  # what is kept for the process is first made in a transform
    x, t = points(), torch.rand(B, 1, dtype=torch.float64)
    expected = 6 * x.sum(-1) * t.squeeze(-1)

    def u(x: Tensor, t: Tensor) -> Tensor:
        return x.pow(3).sum(-1) * t.squeeze(-1)

    def at_point(x: Tensor, t: Tensor) -> Tensor:
        return laplacian(u, x, spec, args=(t,), coordinates=(1, 3))

    scales = torch.tensor([1.0, 2.0], dtype=torch.float64)
    every = torch.func.vmap(lambda c: laplacian(lambda x, t: c * u(x, t), x, spec, args=(t,)))(scales)
    near(every, torch.stack((expected, 2 * expected)))
    near(torch.func.vmap(at_point)(x, t), 6 * x[:, [1, 3]].sum(-1) * t.squeeze(-1))
    slope = torch.func.grad(lambda t: laplacian(u, x, spec, args=(t,)).sum())(t)
    near(slope, 6 * x.sum(-1, keepdim=True))
