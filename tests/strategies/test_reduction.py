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
    ShapeError,
    UsageError,
    derivatives_along,
    divergence,
    gradient,
    hessian_diagonal,
    jacobian_diagonal,
    laplacian,
    parse_strategy,
    value_and_divergence,
    value_gradient_laplacian,
)
from tests.strategies.waves import B, M, N, a, each, field, near, points, serving, wave

pytestmark = pytest.mark.long(but_one_in=3)

dtypes = pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])


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
        (
            lambda x: laplacian(wave, x, coordinates=torch.tensor([False, True, True, False])),
            UsageError,
            r"whole numbers from 0, got tensor\(False\); of a mask give mask.nonzero\(\)",
        ),
        (
            lambda x: laplacian(wave, x, coordinates=0.0),
            UsageError,
            "coordinates must be whole numbers from 0, got 0.0",
        ),
        (lambda x: laplacian(wave, x, coordinates=slice(2)), UsageError, r"whole numbers from 0, got slice\(None, 2"),
        (
            lambda x: laplacian(wave, x.unsqueeze(0).unsqueeze(0), event_dim=2),
            ShapeError,
            r"with event_dim=2 x must be a point \(n1, n2\) or points \(B, n1, n2\), got shape \(1, 1, 5, 4\)",
        ),
        (
            lambda x: laplacian(wave, x, event_dim=3),
            ShapeError,
            r"event_dim=3 is more than the axes of x, which has shape \(5, 4\)",
        ),
        (lambda x: laplacian(wave, x, event_dim=True), UsageError, "a whole number of at least 1, got True"),
        (lambda x: laplacian(wave, x, event_dim=1.0), UsageError, "a whole number of at least 1, got 1.0"),
        (lambda x: laplacian(wave, x, 3), UsageError, "strategy must be a spec such as 'taylor', or a Strategy, got 3"),
        (lambda x: laplacian(wave, x, generator=3), UsageError, "generator must be a torch.Generator, got int; write"),
        (lambda x: laplacian(wave, x.to_sparse()), UsageError, "x must be dense, got layout torch.sparse_coo"),
        (lambda x: derivatives_along(wave, x, x.to_sparse(), 2), UsageError, "v must be dense, got layout"),
        (lambda x: gradient(wave, x.unsqueeze(0)), ShapeError, r"of several axes give f of x.flatten\(1\)"),
        (lambda x: divergence(lambda x: x.sum(-1, keepdim=True), x), ShapeError, "of a scalar take the laplacian"),
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
