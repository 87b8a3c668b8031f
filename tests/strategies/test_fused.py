"""The strategy fused: what it serves through kernels that Triton's interpreter executes, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from jacstrat import (
    Operator,
    UnsupportedError,
    UsageError,
    divergence,
    jacobian_diagonal,
    laplacian,
    parse_operator,
    parse_strategy,
    value_gradient_laplacian,
)
from jacstrat.fused import has_triton
from jacstrat.fused.gradient import kernels
from jacstrat.strategies import fused
from jacstrat.strategies.fused import Fused

pytestmark = pytest.mark.long(but_one_in=2)

D = torch.float64
N = 4
_GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(5, N, dtype=D, generator=_GENERATOR)
A = torch.randn(N, N, dtype=D, generator=_GENERATOR)


def network(outputs: int = 1) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(N, 6), nn.Tanh(), nn.Linear(6, 5), nn.SiLU(), nn.Linear(5, outputs)).double()


NET, FIELD = network(), network(N)


def scalar(x: Tensor) -> Tensor:
    return NET(x).squeeze(-1)


@pytest.fixture
def interpreting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels are executed on tensors of the CPU in this test."""
    if not has_triton():
        pytest.skip("Triton is not installed")
    monkeypatch.setenv("TRITON_INTERPRET", "1")


@pytest.mark.usefixtures("interpreting")
@pytest.mark.parametrize(
    "how",
    [
        {},
        {"coordinates": (0, 2)},
        {"weight": A[0].abs()},
        {"weight": torch.outer(A[0], A[0])},
        {"weight": A + A.mT},
        {"weight": A + A.mT, "coordinates": (1, 2)},
    ],
)
def test_laplacians_weighted_and_over_coordinates_are_those_of_vmap(how: dict[str, Any]) -> None:
    with torch.no_grad():
        found = laplacian(scalar, X, strategy="fused", **how)
        torch.testing.assert_close(found, laplacian(scalar, X, strategy="vmap", **how))


@pytest.mark.usefixtures("interpreting")
@pytest.mark.parametrize("how", [{}, {"coordinates": (1, 3)}, {"weight": A[0]}, {"weight": torch.outer(A[0], A[1])}])
def test_divergences_weighted_and_over_coordinates_are_those_of_vmap(how: dict[str, Any]) -> None:
    with torch.no_grad():
        found = divergence(FIELD, X, strategy="fused", **how)
        torch.testing.assert_close(found, divergence(FIELD, X, strategy="vmap", **how))


@pytest.mark.usefixtures("interpreting")
def test_a_single_point_and_several_outputs_are_served() -> None:
    with torch.no_grad():
        for x in (X[0], X):
            value, gradient, found = value_gradient_laplacian(scalar, x, strategy="fused")
            torch.testing.assert_close(value, scalar(x))
            torch.testing.assert_close(gradient, torch.func.grad(lambda x: scalar(x).sum())(x))
            torch.testing.assert_close(found, laplacian(scalar, x, strategy="vmap"))
            diagonal = jacobian_diagonal(FIELD, x, strategy="fused")
            torch.testing.assert_close(diagonal, jacobian_diagonal(FIELD, x, strategy="vmap"))
        torch.testing.assert_close(laplacian(FIELD, X, strategy="fused"), laplacian(FIELD, X, strategy="taylor"))


@pytest.mark.usefixtures("interpreting")
def test_further_arguments_are_read_at_each_call() -> None:
    def u(x: Tensor, t: float) -> Tensor:
        return scalar(x) * t

    with torch.no_grad():
        prepared = parse_strategy("fused").prepare("laplacian", u, X, args=(0.5,))
        torch.testing.assert_close(prepared(X, 3.0), 3 * laplacian(scalar, X, strategy="vmap"))


def gradients(f: Callable[..., Tensor], strategy: str, operator: str, x: Tensor, net: nn.Module) -> list[Tensor | None]:
    found = parse_strategy(strategy).prepare(operator, f, x)(x)
    return list(torch.autograd.grad(found.square().sum(), [x, *net.parameters()], allow_unused=True))


@pytest.mark.usefixtures("interpreting")
@pytest.mark.parametrize(("f", "net", "operator"), [(scalar, NET, "laplacian"), (FIELD, FIELD, "divergence")])
def test_gradients_are_those_of_taylor_and_chain(f: Callable[..., Tensor], net: nn.Module, operator: str) -> None:
    x = X.clone().requires_grad_()
    found = gradients(f, "fused", operator, x, net)
    expected = gradients(f, "vmap", operator, x, net)
    for one, known in zip(found, expected, strict=True):
        assert (one is None or not bool(one.any())) if known is None else one is not None
        if known is not None:
            torch.testing.assert_close(one, known)


@pytest.fixture(params=["one kernel", "layers"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How gradients are computed in this test; never by taylor."""

    def none(*_: object) -> object:
        raise AssertionError("f was computed again")

    monkeypatch.setattr(fused.Taylor, "contracted", none)
    if request.param == "layers":
        monkeypatch.setattr(kernels, "misfit", lambda *_: "as this test has it")
    return str(request.param)


@pytest.mark.usefixtures("interpreting", "way")
@pytest.mark.parametrize("point", [False, True])
def test_value_gradient_and_laplacian_are_trained_together(point: bool) -> None:
    def trained(spec: str) -> list[Tensor]:
        x = (X[0] if point else X).clone().requires_grad_()
        value, gradient, found = value_gradient_laplacian(scalar, x, strategy=spec)
        loss = (value * found).sum() + gradient.sin().sum()
        return [value, gradient, found, *torch.autograd.grad(loss, [x, *NET.parameters()])]

    for one, known in zip(trained("fused"), trained("vmap"), strict=True):
        torch.testing.assert_close(one, known)


@pytest.mark.usefixtures("interpreting", "way")
@pytest.mark.parametrize("how", [{"coordinates": (0, 2)}, {"weight": A + A.mT}])
def test_weighted_laplacians_are_trained(how: dict[str, Any]) -> None:
    def trained(spec: str) -> list[Tensor]:
        found = laplacian(scalar, X, strategy=spec, **how)
        # The last bias adds a number to u, of which its Laplacian knows nothing.
        return list(torch.autograd.grad(found.exp().mean(), list(NET.parameters())[:-1]))

    for one, known in zip(trained("fused"), trained("vmap"), strict=True):
        torch.testing.assert_close(one, known)


@pytest.mark.usefixtures("interpreting")
def test_equal_calls_have_equal_gradients() -> None:
    x = X.float().repeat(4, 1)
    net = network().float()

    def trained() -> list[Tensor]:
        found = laplacian(lambda x: net(x).squeeze(-1), x, strategy="fused")
        return list(torch.autograd.grad(found.square().sum(), list(net.parameters())[:-1]))

    assert all(torch.equal(*pair) for pair in zip(trained(), trained(), strict=True))


@pytest.mark.usefixtures("interpreting")
def test_gradients_of_arguments_are_those_of_taylor() -> None:
    def u(x: Tensor, t: Tensor) -> Tensor:
        return NET(x * t).squeeze(-1)

    t = torch.full((N,), 0.7, dtype=D, requires_grad=True)
    found, expected = (
        torch.autograd.grad(parse_strategy(spec).prepare("laplacian", u, X, args=(t,))(X, t).sum(), t)[0]
        for spec in ("fused", "taylor")
    )
    torch.testing.assert_close(found, expected)


@pytest.mark.usefixtures("interpreting")
def test_a_gradient_is_not_differentiated_again() -> None:
    x = X.clone().requires_grad_()
    (g,) = torch.autograd.grad(laplacian(scalar, x, strategy="fused").sum(), x, create_graph=True)
    with pytest.raises(UnsupportedError, match="fused is differentiable once; use taylor:compress=false"):
        g.sum().backward()


@pytest.mark.usefixtures("interpreting")
def test_weights_that_were_computed_from_others_have_the_gradients_of_taylor() -> None:
    first = NET[0].weight.detach().clone().requires_grad_()
    second = 2 * first

    def u(x: Tensor) -> Tensor:
        return ((x @ first.mT).tanh() + (x @ second.mT).sin()).sum(-1)

    def gradient(spec: str) -> Tensor:
        prepared = parse_strategy(spec).prepare("laplacian", u, X)
        return torch.autograd.grad(prepared(X).sum(), first, retain_graph=True)[0]

    torch.testing.assert_close(gradient("fused"), gradient("taylor"))


@pytest.mark.usefixtures("interpreting")
def test_inside_a_transform_it_is_taylor() -> None:
    with torch.no_grad():
        prepared = parse_strategy("fused").prepare("laplacian", scalar, X)
        torch.testing.assert_close(torch.func.vmap(prepared)(X), prepared(X))
    assert prepared(X[:0]).shape == (0,)


@pytest.mark.usefixtures("interpreting")
def test_a_layer_in_place_of_another_is_noticed() -> None:
    net = network()
    with torch.no_grad():
        prepared = parse_strategy("fused").prepare("laplacian", lambda x: net(x).squeeze(-1), X)
        net[2] = nn.Linear(6, 5).double()
        with pytest.warns(UserWarning, match="has changed since this operator was prepared"):
            found = prepared(X)
        torch.testing.assert_close(found, laplacian(lambda x: net(x).squeeze(-1), X, strategy="vmap"))


@pytest.mark.usefixtures("interpreting")
@pytest.mark.parametrize(
    ("f", "operator", "message"),
    [
        (lambda x: x.softmax(-1).square().sum(-1), "laplacian", "_softmax is neither linear nor pointwise; use taylor"),
        (lambda x: x.softmax(-1), "divergence", "_softmax is neither linear nor pointwise; use chain"),
        (lambda x: (x * torch.rand_like(x)).sin().sum(-1), "laplacian", "draws random numbers; use taylor"),
        (lambda x: torch.ones_like(x[..., 0]), "laplacian", "it does not depend on x; use taylor"),
    ],
)
def test_what_is_no_network_is_refused(f: Callable[[Tensor], Tensor], operator: str, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        parse_strategy("fused").prepare(operator, f, X)


@pytest.mark.skipif(not has_triton(), reason="Triton is not installed")
def test_on_the_cpu_it_is_refused_unless_triton_interprets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(UnsupportedError, match="its kernels are for CUDA and ROCm, and x is on cpu; use taylor"):
        parse_strategy("fused").prepare("laplacian", scalar, X)


def test_without_triton_it_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "has_triton", lambda: False)
    with pytest.raises(UnsupportedError, match=r"Triton is not installed; pip install 'jacstrat\[triton\]'"):
        parse_strategy("fused").prepare("laplacian", scalar, X)


@pytest.mark.skipif(not has_triton(), reason="Triton is not installed")
@pytest.mark.parametrize(
    ("operator", "reason"),
    [
        ("bilaplacian", "no kernel is differentiated; use taylor"),
        ("hessian_diagonal", "it sums second derivatives as it goes; use jvp"),
    ],
)
def test_other_operators_are_refused(operator: str, reason: str) -> None:
    plain: Operator = parse_operator(operator)
    assert Fused().refuse(plain) == reason


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("fused:products=fp8", "products must be auto, ieee, tf32x3 or tf32, got 'fp8'; leave it out for auto"),
        ("fused:tile=24", "tile must be auto or 16, 32, 64 or 128 points, got 24; leave it out for auto"),
    ],
)
def test_parameters_out_of_range_are_told(spec: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_strategy(spec)


def test_specs_have_the_parameters() -> None:
    assert parse_strategy("fused:products=tf32,tile=64") == Fused(products="tf32", tile=64)
    assert parse_strategy("fused").starts_compiler
    with pytest.raises(UsageError, match="is compiled already"):
        parse_strategy("compiled(fused)")


@pytest.mark.usefixtures("interpreting")
def test_a_tile_of_a_network_without_a_single_kernel_is_refused() -> None:
    net = nn.Sequential(nn.Linear(N, 130), nn.Tanh(), nn.Linear(130, 1)).double()
    reason = "fused:tile=32 takes points in tiles .* a layer of 130 is wider than 128; leave out tile"
    with torch.no_grad(), pytest.raises(UnsupportedError, match=reason):
        laplacian(lambda x: net(x).squeeze(-1), X, strategy="fused:tile=32")


@pytest.mark.usefixtures("interpreting")
def test_a_tile_may_be_asked_for() -> None:
    with torch.no_grad():
        found = laplacian(scalar, X, strategy="fused:tile=32")
        torch.testing.assert_close(found, laplacian(scalar, X, strategy="vmap"))
