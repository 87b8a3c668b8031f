"""Operators as a user calls them: shapes, gradients, modes, and nothing touched."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import forward_ad
from torch.overrides import TorchFunctionMode

import jacstrat
from jacstrat import ShapeError, UsageError
from tests.strategies.custom_functions import Cube

pytestmark = pytest.mark.long(but_one_in=3)

N, B = 4, 3


class Net(torch.nn.Module):
    def __init__(self, out: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.first = torch.nn.Parameter(torch.randn(N, 6, dtype=torch.float64, generator=generator))
        self.last = torch.nn.Parameter(torch.randn(6, out, dtype=torch.float64, generator=generator))

    def forward(self, x):
        return torch.tanh(x @ self.first) @ self.last


FIELD = Net(N)
SCALAR = Net(1)
X = torch.randn(B, N, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def scalar(x):
    return SCALAR(x).squeeze(-1)


def dense(f, x):
    return torch.stack([torch.func.jacrev(f)(p) for p in x])


def trace(x):
    return torch.stack([torch.func.jacrev(FIELD)(p).trace() for p in x])


def lap(x):
    return torch.stack([torch.func.hessian(scalar)(p).trace() for p in x])


CASES = [
    pytest.param(jacstrat.divergence, FIELD, trace, FIELD.first, strategy, id=f"divergence-{strategy}")
    for strategy in ("identity", "vmap", "jvp", "jvp:chunk_size=all", "jacrev", "jacfwd", "chain")
] + [
    pytest.param(jacstrat.laplacian, scalar, lap, SCALAR.first, strategy, id=f"laplacian-{strategy}")
    for strategy in (
        "identity",
        "vmap",
        "jvp",
        "forward_over_reverse",
        "forward_over_forward",
        "jacrev",
        "hessian",
        "taylor",
    )
]
each = pytest.mark.parametrize(("operator", "f", "truth", "parameter", "strategy"), CASES)


@each
def test_values_for_a_batch_and_a_point(operator, f, truth, parameter, strategy) -> None:
    torch.testing.assert_close(operator(f, X, strategy), truth(X))
    single = operator(f, X[0], strategy)
    assert single.shape == ()
    torch.testing.assert_close(single, truth(X[:1])[0])


@each
def test_differentiable_in_parameters_and_in_x(operator, f, truth, parameter, strategy) -> None:
    x = X.clone().requires_grad_()
    got = torch.autograd.grad(operator(f, x, strategy).square().sum(), (parameter, x))
    expected = torch.autograd.grad(truth(x).square().sum(), (parameter, x))
    torch.testing.assert_close(got, expected)


@each
def test_differentiable_through_what_x_was_made_of(operator, f, truth, parameter, strategy) -> None:
    z = X.clone().requires_grad_()
    (got,) = torch.autograd.grad(operator(f, z.sin(), strategy).sum(), z)
    (expected,) = torch.autograd.grad(truth(z.sin()).sum(), z)
    torch.testing.assert_close(got, expected)


@each
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_callers_that_track_nothing(operator, f, truth, parameter, strategy, mode) -> None:
    with mode():
        made_inside = X.clone()
        result = operator(f, made_inside, strategy)
    assert not result.requires_grad
    torch.testing.assert_close(result.clone(), truth(X).detach())


@each
def test_frozen_parameters(operator, f, truth, parameter, strategy) -> None:
    parameters = [*FIELD.parameters(), *SCALAR.parameters()]
    for p in parameters:
        p.requires_grad_(False)
    try:
        result = operator(f, X, strategy)
        x = X.clone().requires_grad_()
        (got,) = torch.autograd.grad(operator(f, x, strategy).sum(), x)
        (expected,) = torch.autograd.grad(truth(x).sum(), x)
    finally:
        for p in parameters:
            p.requires_grad_(True)
    torch.testing.assert_close(result, truth(X))
    torch.testing.assert_close(got, expected)


@each
def test_no_grad_of_anything_is_touched(operator, f, truth, parameter, strategy) -> None:
    x = X.clone().requires_grad_()
    operator(f, x, strategy)
    assert x.grad is None
    assert all(p.grad is None for p in (*FIELD.parameters(), *SCALAR.parameters()))


@pytest.mark.parametrize("strategy", ["identity", "vmap", "jvp"])
def test_a_function_that_closes_over_x_is_differentiated_in_its_argument_alone(strategy: str) -> None:
    x = X.clone().requires_grad_()
    torch.testing.assert_close(jacstrat.divergence(lambda z: z * x, x, strategy), x.sum(-1))


@pytest.mark.parametrize("strategy", ["vmap", "jvp", "jvp:chunk_size=all"])
def test_composes_with_torch_func(strategy: str) -> None:
    got = torch.func.grad(lambda x: jacstrat.divergence(FIELD, x, strategy).sum())(X)
    x = X.clone().requires_grad_()
    (expected,) = torch.autograd.grad(trace(x).sum(), x)
    torch.testing.assert_close(got, expected)
    ensemble = torch.func.vmap(lambda x: jacstrat.divergence(FIELD, x, strategy))(torch.stack((X, X + 1)))
    torch.testing.assert_close(ensemble, torch.stack((trace(X), trace(X + 1))))


def test_the_diagonal() -> None:
    expected = dense(FIELD, X).diagonal(dim1=1, dim2=2)
    for strategy in ("identity", "vmap", "jvp", "jacrev", "jacfwd", "chain"):
        torch.testing.assert_close(jacstrat.jacobian_diagonal(FIELD, X, strategy), expected)
        torch.testing.assert_close(jacstrat.jacobian_diagonal(FIELD, X[0], strategy), expected[0])


def test_the_seeds_partial_derivatives_are_5_and_8() -> None:
    def f(p):
        x, y = p.unbind(-1)
        return (x + y) * (y + 3)

    assert jacstrat.gradient(f, torch.tensor([1.0, 2.0])).tolist() == [5, 8]
    assert jacstrat.gradient(f, torch.tensor([[1.0, 2.0], [0.0, 0.0]])).tolist() == [[5, 8], [3, 3]]


def test_the_seeds_sine_and_dot_product() -> None:
    x = torch.linspace(0, 1, 1001, dtype=torch.float64)
    assert torch.equal(jacstrat.jacobian_diagonal(torch.sin, x, "ones"), x.cos())
    assert torch.equal(jacstrat.jacobian_diagonal(torch.cos, x, "ones"), -x.sin())
    ones = torch.ones(3)
    for strategy in ("ones", "identity"):
        assert jacstrat.laplacian(lambda x: x.dot(x), ones, strategy) == 6


def test_gradient_is_differentiable_and_curl_is_right() -> None:
    x = X.clone().requires_grad_()
    (second,) = torch.autograd.grad(jacstrat.gradient(lambda x: x.pow(3).sum(-1), x).sum(), x)
    torch.testing.assert_close(second, 6 * x)
    points = X[:, :3]
    torch.testing.assert_close(
        jacstrat.curl(lambda p: torch.stack((p[..., 1] ** 2, p[..., 0] * p[..., 2], p[..., 1]), -1), points),
        torch.stack((1 - points[:, 0], 0 * points[:, 0], points[:, 2] - 2 * points[:, 1]), -1),
    )
    rotation = jacstrat.curl(lambda p: torch.stack((-p[..., 1], p[..., 0], 0 * p[..., 2]), -1), points[0])
    assert rotation.tolist() == [0, 0, 2]
    # The curl of a gradient vanishes.
    u = torch.func.grad(lambda p: (p.sin() @ torch.ones(3, dtype=p.dtype)).exp().sum())
    torch.testing.assert_close(jacstrat.curl(u, points), torch.zeros_like(points), atol=1e-14, rtol=0)


def test_the_gradient_of_outputs_is_that_of_each() -> None:
    torch.testing.assert_close(jacstrat.gradient(FIELD, X), dense(FIELD, X))
    torch.testing.assert_close(jacstrat.gradient(FIELD, X[0]), dense(FIELD, X)[0])
    # Of one output it has no axis of its own, as autograd gives it.
    torch.testing.assert_close(jacstrat.gradient(SCALAR, X), jacstrat.gradient(scalar, X))
    torch.testing.assert_close(jacstrat.gradient(SCALAR, X[0]), jacstrat.gradient(scalar, X[0]))


def test_curl_outside_three_dimensions() -> None:
    with pytest.raises(ShapeError, match=r"curl needs n = 3, got x of shape \(3, 4\)"):
        jacstrat.curl(torch.sin, X)


def test_bad_input_is_named() -> None:
    with pytest.raises(UsageError, match="unknown strategy 'vmapp'; did you mean vmap"):
        jacstrat.divergence(FIELD, X, "vmapp")
    with pytest.raises(UsageError, match=r"x must be real and floating-point, got torch.int64; use x.double\(\)"):
        jacstrat.gradient(scalar, torch.ones(3, dtype=torch.int64))
    with pytest.raises(ShapeError, match=r"the scalar must map \(3, 4\) to \(3,\), got \(\); if f takes one point"):
        jacstrat.gradient(lambda x: x.sum(), X)
    with pytest.raises(ShapeError, match=r"the scalar must map \(3, 4\) to \(3,\), got \(4, 3\)$"):
        jacstrat.gradient(lambda x: x.mT, X)
    with pytest.raises(ShapeError, match=r"the field must map \(3, 4\) to \(3, 4\), got \(3,\)"):
        jacstrat.divergence(scalar, X, "identity")


def test_functions_of_the_old_style_have_gradients_and_curls() -> None:
    x = torch.randn(4, 3, dtype=torch.float64)
    torch.testing.assert_close(jacstrat.gradient(lambda x: Cube.apply(x).sum(-1), x), 3 * x**2)
    # Of (z^3, x^3, y^3): what y^3 has in y, z^3 in z and x^3 in x.
    torch.testing.assert_close(jacstrat.curl(lambda x: Cube.apply(x).roll(1, -1), x), 3 * x.square()[:, [1, 2, 0]])
    torch.testing.assert_close(jacstrat.laplacian(lambda x: Cube.apply(x).sum(-1), x), 6 * x.sum(-1))


def test_many_functions_that_are_alike_to_the_eye_are_each_served_by_what_serves_them() -> None:
    """More than are told apart by what they close over, and then one that the choice for these does not serve."""
    x = torch.randn(4, 3, dtype=torch.float64)
    for k in range(40):
        jacstrat.laplacian(lambda x, k=k: (x * k).sin().sum(-1), x)
    torch.testing.assert_close(jacstrat.laplacian(lambda x: Cube.apply(x).sum(-1), x), 6 * x.sum(-1))


@pytest.mark.parametrize("strategy", ["auto", "identity", "vmap"])
def test_frozen_parameters_leave_no_graph(strategy: str) -> None:
    layer, x = torch.nn.Linear(3, 3), torch.randn(4, 3)
    for is_trained in (True, False, True):
        layer.requires_grad_(is_trained)
        assert jacstrat.divergence(lambda x: layer(x).sin(), x, strategy).requires_grad is is_trained


def test_a_mode_of_the_callers_is_seen_and_where_tensors_are_made_is_none() -> None:
    class Doubling(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            return 2 * out if func is torch.Tensor.sin else out

    def f(x: torch.Tensor) -> torch.Tensor:
        return (x * torch.full((3,), 2.0, dtype=x.dtype)).sin().sum(-1)

    x = torch.randn(4, 3, dtype=torch.float64)
    wanted = -4 * (2 * x).sin().sum(-1)
    torch.testing.assert_close(jacstrat.laplacian(f, x), wanted)
    with Doubling():
        torch.testing.assert_close(jacstrat.laplacian(f, x), 2 * wanted)
    with torch.device("cpu"):
        torch.testing.assert_close(jacstrat.laplacian(f, x), wanted)


def test_what_is_exported_has_the_derivative_in_it() -> None:
    class Module(torch.nn.Module):
        def forward(self, x):
            return jacstrat.laplacian(lambda x: (1.5 * x).sin().sum(-1), x)

    x = torch.randn(4, 3, dtype=torch.float64)
    program = torch.export.export(Module(), (x,), strict=False).module()
    torch.testing.assert_close(program(x + 1), -(1.5**2) * (1.5 * (x + 1)).sin().sum(-1))
    with pytest.raises(jacstrat.UsageError, match="torch.jit.trace records no derivatives; use torch.export.export"):
        torch.jit.trace(Module(), x)


def test_x_that_is_no_tensor_or_is_written_to() -> None:
    x = torch.randn(4, 3)
    with pytest.raises(jacstrat.UsageError, match="x must be a torch.Tensor, got ndarray; use torch.from_numpy.x."):
        jacstrat.laplacian(lambda x: x.sum(-1), x.numpy())
    before = x.clone()
    for strategy in ("auto", "identity", "vmap", "taylor"):
        with pytest.raises(jacstrat.UsageError, match="f writes into x, which is the caller's; have it write int"):
            jacstrat.laplacian(lambda x: x.mul_(2).sin().sum(-1), x, strategy)
    assert torch.equal(x, before)


@pytest.mark.parametrize("is_point", [False, True])
def test_derivatives_of_a_complex_function_along_a_line(is_point: bool) -> None:
    a = torch.tensor([1 + 2j, 0.5j, -1], dtype=torch.complex128)
    x, v = torch.rand(5, 3, dtype=torch.float64), torch.tensor([0.5, -1.0, 0.25], dtype=torch.float64)
    x, along = x[0] if is_point else x, (v.to(a.dtype) * a).sum()

    def wave(x: torch.Tensor) -> torch.Tensor:
        return torch.exp(x.to(a.dtype) @ a)

    found = jacstrat.derivatives_along(wave, x, v, 4)
    torch.testing.assert_close(found, torch.stack([along**k * wave(x) for k in range(5)]))
    both = jacstrat.derivatives_along(lambda x: torch.stack((wave(x), wave(x) ** 2), -1), x, v, 3)
    torch.testing.assert_close(both[..., 0], found[:4])
    torch.testing.assert_close(both[..., 1], torch.stack([(2 * along) ** k * wave(x) ** 2 for k in range(4)]))


def test_the_curl_of_a_complex_field() -> None:
    def field(x):
        return torch.exp(1j * x.roll(1, -1)) * x.sum(-1, keepdim=True)

    for x in (torch.randn(4, 3, dtype=torch.float64), torch.randn(3, dtype=torch.float64)):
        parts = [jacstrat.curl(lambda x, part=part: getattr(field(x), part), x) for part in ("real", "imag")]
        torch.testing.assert_close(jacstrat.curl(field, x), torch.complex(*parts))


@pytest.mark.parametrize("args", [torch.ones(4, 1), 2.0, {"t": 1}])
def test_arguments_that_are_no_tuple_are_refused(args: object) -> None:
    def u(x, t):
        return (x * t).sin().sum(-1)

    x = torch.randn(4, 3)
    wanted = r"args must be a tuple of f's further arguments, got \w+; write args=\(t,\)"
    for call in (
        lambda: jacstrat.laplacian(u, x, args=args),
        lambda: jacstrat.parse_strategy("vmap").prepare("laplacian", u, x, args=args),
        lambda: jacstrat.gradient(u, x, args=args),
        lambda: jacstrat.derivatives_along(u, x, torch.ones(3), 2, args=args),
    ):
        with pytest.raises(jacstrat.UsageError, match=wanted):
            call()


def test_points_of_several_axes_are_told_of_event_dim() -> None:
    x = torch.randn(5, 2, 3)
    with pytest.raises(jacstrat.ShapeError, match="for points of 2 axes give event_dim=2"):
        jacstrat.laplacian(lambda x: x.square().sum((-1, -2)), x)
    with pytest.raises(jacstrat.ShapeError, match=r"the field must map \(5, 3\) to \(5, 3\), got \(5,\); of a scalar"):
        jacstrat.divergence(lambda x: x.square().sum(-1), torch.randn(5, 3))


def test_a_field_of_no_operation_is_served() -> None:
    assert torch.equal(jacstrat.divergence(lambda x: x, torch.randn(4, 3)), torch.full((4,), 3.0))


@pytest.mark.parametrize("strategy", ["auto", "identity", "vmap", "taylor"])
def test_a_tangent_of_the_callers_goes_through(strategy: str) -> None:
    x, v = torch.randn(4, 3, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x, v)
        value, tangent = forward_ad.unpack_dual(jacstrat.laplacian(lambda x: x.sin().sum(-1), dual, strategy))
    torch.testing.assert_close(value, -x.sin().sum(-1))
    torch.testing.assert_close(tangent, -(v * x.cos()).sum(-1))
