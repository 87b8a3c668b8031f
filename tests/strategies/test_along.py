"""Derivatives along a line as a user asks for them: closed forms, gradients, what is not believed, bad input."""

from __future__ import annotations

import mpmath
import pytest
import torch
from torch import Tensor

from jacstrat import ShapeError, UnsupportedError, UsageError, derivatives_along, laplacian
from jacstrat.series import TapedLine, nested
from jacstrat.series.table import SERIES_RULES
from jacstrat.strategies import along
from jacstrat.strategies.along import derivatives
from tests.taylor.samples import draw

aten = torch.ops.aten
X = draw(9, 4) - 0.75
V = draw(4, seed=2) - 0.6


@pytest.fixture(autouse=True)
def _anew():
    along.SERVED.forget()
    yield
    along.SERVED.forget()


def latest() -> bool:
    """Whether the tape served the latest function."""
    return list(along.SERVED._values.values())[-1]


def test_the_first_three_are_value_slope_and_curvature() -> None:
    def u(x):
        return x.prod(-1).sin() + x.square().sum(-1).exp()

    found = derivatives_along(u, X, V, 2)
    torch.testing.assert_close(found[0], u(X))
    torch.testing.assert_close(found[1], torch.func.grad(lambda x: u(x).sum())(X) @ V)
    H = torch.stack([torch.func.hessian(u)(x) for x in X])
    torch.testing.assert_close(found[2], torch.einsum("i,bij,j->b", V, H, V))
    units = torch.eye(4, dtype=X.dtype)
    torch.testing.assert_close(derivatives(u, X, units, 2)[:, 2].sum(0), laplacian(u, X, "taylor"))


ACTIVATIONS = {
    "tanh": (torch.tanh, mpmath.tanh),
    "softplus": (torch.nn.functional.softplus, lambda z: mpmath.log(1 + mpmath.exp(z))),
    "gelu": (torch.nn.functional.gelu, lambda z: z * mpmath.ncdf(z)),
    "silu": (torch.nn.functional.silu, lambda z: z / (1 + mpmath.exp(-z))),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_network_to_order_six_in_many_digits(name: str) -> None:
    act, exact = ACTIVATIONS[name]
    W, w = draw(4, 3, seed=3) - 0.7, draw(3, seed=4) - 0.4
    inner = draw(3, 3, seed=5) - 0.7
    found = derivatives_along(lambda x: act(act(x @ W) @ inner) @ w, X[0], V, 6)
    assert latest()

    def by_hand(s):
        z = [sum((float(X[0, i]) + s * float(V[i])) * float(W[i, j]) for i in range(4)) for j in range(3)]
        h = [exact(one) for one in z]
        return sum(float(w[j]) * exact(sum(h[i] * float(inner[i, j]) for i in range(3))) for j in range(3))

    with mpmath.workdps(40):
        expected = [float(c * mpmath.factorial(k)) for k, c in enumerate(mpmath.taylor(by_hand, 0, 6))]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=X.dtype), rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_soliton_solves_korteweg_and_de_vries(dtype: torch.dtype) -> None:
    # u_t + 6 u u_x + u_xxx = 0 for u = c/2 sech^2(sqrt(c)/2 (x - c t)); points are (x, t).
    c = 1.7
    points = (draw(9, 2, seed=7) - 0.7).to(dtype)

    def u(p):
        return 0.5 * c / torch.cosh(0.5 * c**0.5 * (p[..., 0] - c * p[..., 1])) ** 2

    value, slope, _, third = derivatives_along(u, points, torch.tensor([1.0, 0.0], dtype=dtype), 3)
    _, rate = derivatives_along(u, points, torch.tensor([0.0, 1.0], dtype=dtype), 1)
    assert value.dtype == dtype
    tolerance = 1e-13 if dtype == torch.float64 else 1e-4
    assert (rate + 6 * value * slope + third).abs().max() < tolerance


@pytest.mark.parametrize("batch", [(), (3,), (20,)])
@pytest.mark.parametrize("outputs", [(), (2,)])
def test_shapes(batch: tuple[int, ...], outputs: tuple[int, ...]) -> None:
    x, W = draw(*batch, 4), draw(4, *outputs)
    f = (lambda x: (x @ W).sin()) if outputs else (lambda x: (x * W).sum(-1).sin())
    for v in (V, draw(*batch, 4, seed=2)):
        found = derivatives_along(f, x, v, 3)
        assert found.shape == (4, *batch, *outputs)
        torch.testing.assert_close(found, nested(f, x, v.expand_as(x), 3))
    assert derivatives(f, x, draw(5, 4), 3).shape == (5, 4, *batch, *outputs)


def test_gradients_in_everything() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.GELU(), torch.nn.Linear(6, 1)).double()
    x, v = X.clone().requires_grad_(), V.clone().requires_grad_()
    t, c = draw(9, 1).requires_grad_(), draw(1).requires_grad_()

    def u(x, t, c):
        return (net(x) * t).squeeze(-1) * c

    leaves = [x, v, t, c, *net.parameters()]
    # The bias of the last layer is in the value alone.
    mine = torch.autograd.grad(derivatives_along(u, x, v, 3, (t, c)).square().sum(), leaves)
    assert latest()
    own = torch.autograd.grad(nested(lambda x: u(x, t, c), x, v.expand_as(x), 3).square().sum(), leaves)
    torch.testing.assert_close(mine, own)
    assert torch.autograd.gradcheck(lambda x, v: derivatives_along(lambda x: u(x, t, c), x, v, 2), (x, v))


def test_a_training_loop_records_and_looks_once(monkeypatch: pytest.MonkeyPatch) -> None:
    weight = torch.nn.Parameter(draw(4, 5) - 0.7)
    calls = []

    def u(x):
        calls.append(len(x))
        return torch.tanh(x @ weight).sum(-1)

    def step(x):
        loss = derivatives_along(lambda x: torch.tanh(x @ weight).sum(-1), x, V, 2)[2].square().mean()
        loss.backward()

    step(X)
    monkeypatch.setattr(along, "Consistency", None)
    for _ in range(3):
        with torch.no_grad():
            weight -= 0.1 * weight.grad
        step(X + 0.1)
    assert calls == []


def test_a_wrong_rule_is_found_and_nested_reverse_mode_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(call, K):
        y = SERIES_RULES[aten.tanh.default](call, K)
        y.tail = y.tail * torch.cat((y.tail.new_ones(2), y.tail.new_full((len(y.tail) - 2,), 1.01))).view(-1, 1, 1, 1)
        return y

    monkeypatch.setattr("jacstrat.series.engine.SERIES_RULES", {**SERIES_RULES, aten.tanh.default: wrong})

    def u(x):
        return torch.tanh(1.1 * x).sum(-1)

    for tracked in (False, True):
        found = derivatives_along(u, X.clone().requires_grad_(tracked), V, 4)
        assert not latest()
        torch.testing.assert_close(found.detach(), nested(u, X, V.expand_as(X), 4))


def test_a_wrong_gradient_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(call, K):
        y = SERIES_RULES[aten.sin.default](call, K)
        y.tail = y.tail.detach()
        return y

    monkeypatch.setattr("jacstrat.series.engine.SERIES_RULES", {**SERIES_RULES, aten.sin.default: cut})
    weight = (draw(4) + 0.2).requires_grad_()

    def u(x):
        return torch.sin(x * weight).sum(-1)

    found = derivatives_along(u, X, V, 3)
    assert not latest()
    own = torch.autograd.grad(nested(u, X, V.expand_as(X), 3).sum(), weight)
    torch.testing.assert_close(torch.autograd.grad(found.sum(), weight), own)
    with torch.no_grad():
        derivatives_along(u, X, V, 3)
        assert latest()


def _normalised(x: Tensor) -> Tensor:
    # Below torch.nn.functional, where nested reverse mode has torch's own derivatives.
    return torch.native_layer_norm(x, (4,), None, None, 1e-5)[0].sin().sum(-1)


def _branching(x: Tensor) -> Tensor:
    return x.sum(-1) if x.sum() > 1e6 else _normalised(x)


def test_where_torch_is_wrong_about_the_third_order() -> None:
    def by_hand(x):
        c = x - x.mean(-1, keepdim=True)
        return (c * ((c * c).mean(-1, keepdim=True) + 1e-5).rsqrt()).sin().sum(-1)

    expected = nested(by_hand, X, V.expand_as(X), 4)
    torch.testing.assert_close(derivatives_along(_normalised, X, V, 4), expected)
    assert latest()
    with pytest.raises(UnsupportedError, match=r"nested reverse mode is not right .* derivative of order 3"):
        derivatives_along(_branching, X, V, 4)
    torch.testing.assert_close(derivatives_along(_branching, X, V, 2), expected[:3])
    with pytest.raises(UnsupportedError, match=r"nested reverse mode is not right .* gradient"):
        derivatives_along(_branching, X.clone().requires_grad_(), V, 2)


def test_functions_without_a_tape_and_cuts_are_served_as_autograd_means_them() -> None:
    def branching(x):
        return x.sin().sum(-1) if x.sum() < 1e6 else x.sum(-1)

    def cut(x):
        return (x.detach() * x**3).sum(-1)

    for u, is_traced in ((branching, False), (cut, True), (lambda x: (x.relu() * x).sum(-1), True)):
        found = derivatives_along(u, X, V, 3)
        assert latest() is is_traced
        torch.testing.assert_close(found, nested(u, X, V.expand_as(X), 3))


def test_modes() -> None:
    def u(x):
        return x.sin().sum(-1)

    expected = derivatives_along(u, X, V, 2)
    with torch.no_grad():
        torch.testing.assert_close(derivatives_along(u, X, V, 2), expected)
    with torch.inference_mode():
        torch.testing.assert_close(derivatives_along(u, X.clone(), V.clone(), 2), expected)
    torch.testing.assert_close(torch.func.vmap(lambda x: derivatives_along(u, x, V, 2), out_dims=1)(X), expected)
    assert not isinstance(TapedLine(u).tape(X), Exception)


@pytest.mark.parametrize("order", [0, -1, 2.0, True, "2"])
def test_an_order_that_is_none(order: object) -> None:
    with pytest.raises(UsageError, match=f"order must be a whole number of at least 1, got {order!r}; ") as error:
        derivatives_along(torch.sum, X, V, order)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)


def test_directions_and_results_that_do_not_fit() -> None:
    with pytest.raises(ShapeError, match=r"v must be of shape \(4,\) or \(9, 4\) for x of shape \(9, 4\), got \(3,\)"):
        derivatives_along(torch.sum, X, V[:3], 2)
    with pytest.raises(ShapeError, match=r"v must be of shape \(4,\) for x of shape \(4,\), got \(1, 4\)"):
        derivatives_along(torch.sum, X[0], V.unsqueeze(0), 2)
    with pytest.raises(UsageError, match=r"v must be a torch.Tensor, got list"):
        derivatives_along(torch.sum, X, [1.0], 2)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"v must be real and floating-point, got torch.int64"):
        derivatives_along(torch.sum, X, torch.ones(4, dtype=torch.long), 2)
    with pytest.raises(ShapeError, match=r"the scalar must map \(9, 4\) to \(9,\), got \(\)"):
        derivatives_along(torch.sum, X, V, 2)
    with pytest.raises(ShapeError, match=r"directions must be of shape \(D, n\) or \(D, B, n\)"):
        derivatives(torch.sum, X, V, 2)
    with pytest.raises(UsageError, match="x must be real and floating-point"):
        derivatives_along(torch.sum, X.long(), V, 2)


def test_arguments_may_change_without_a_new_tape(monkeypatch) -> None:
    a = torch.tensor([0.3, -0.2, 0.5, 0.1], dtype=torch.float64)

    def u(x: Tensor, t: Tensor, k: float) -> Tensor:
        return (k * (x @ a)).exp() * t

    t, slope = torch.rand(len(X), dtype=torch.float64), X[0] @ a
    for k in (1.0, 2.0):
        found = derivatives_along(u, X, X[0], 3, args=(t, k))
        expected = torch.stack([(k * slope) ** order * u(X, t, k) for order in range(4)])
        torch.testing.assert_close(found, expected)
        monkeypatch.setattr("jacstrat.trace.cache.record", None)
