"""Shapes of results, what is called of a compiled function, and kernels that can be differentiated twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from jacstrat import ShapeError
from jacstrat.core.operator import OPERATORS
from jacstrat.strategies.checked import checked, eager, plain_attention

X = torch.ones(4, 3)
FUSED = ("flash", "mem_efficient", "cudnn")


def summed(x: Tensor) -> Tensor:
    return x.sum(-1)


@pytest.mark.parametrize("x", [X, X[0], X[:0]], ids=["batch", "point", "none"])
def test_what_fits_goes_through(x: Tensor) -> None:
    assert torch.equal(checked(torch.sin, OPERATORS["divergence"])(x), x.sin())
    assert torch.equal(checked(torch.sin, OPERATORS["jacobian_diagonal"])(x), x.sin())
    for name in ("laplacian", "hessian_diagonal", "bilaplacian"):
        assert torch.equal(checked(summed, OPERATORS[name])(x), x.sum(-1))


@pytest.mark.parametrize("x", [X, X[0], X[:0]], ids=["batch", "point", "none"])
@pytest.mark.parametrize("m", [1, 2, 3, 5])
@pytest.mark.parametrize("name", ["laplacian", "hessian_diagonal", "bilaplacian"])
def test_a_scalar_may_have_outputs_each_by_itself(name: str, m: int, x: Tensor) -> None:
    y = checked(lambda x: x.sum(-1, keepdim=True) * torch.ones(m), OPERATORS[name])(x)
    assert torch.equal(y, x.sum(-1, keepdim=True).expand(*x.shape[:-1], m))


ONE_POINT = "; if f takes one point and not a batch, give torch.func.vmap(f)"
WRONG: list[tuple[str, Callable[[Tensor], Any], Tensor, str]] = [
    ("laplacian", lambda x: x[:2], X, "the scalar must map (4, 3) to (4,), got (2, 3)"),
    ("laplacian", lambda x: x.unsqueeze(-1), X, "the scalar must map (4, 3) to (4,), got (4, 3, 1)"),
    ("laplacian", lambda x: x.expand(2, 3), X[0], "the scalar must map (3,) to (), got (2, 3)"),
    ("hessian_diagonal", lambda x: x.mT, X, "the scalar must map (4, 3) to (4,), got (3, 4)"),
    ("laplacian", lambda x: x.sum(), X, f"the scalar must map (4, 3) to (4,), got (){ONE_POINT}"),
    ("divergence", lambda x: x[..., :2], X, "the field must map (4, 3) to (4, 3), got (4, 2)"),
    ("divergence", lambda x: x.sum(0), X, f"the field must map (4, 3) to (4, 3), got (3,){ONE_POINT}"),
    ("divergence", lambda x: x.sum(), X[0], "the field must map (3,) to (3,), got (); of a scalar take the laplacian"),
    ("jacobian_diagonal", lambda x: (x, x), X, "the field must return one tensor, got tuple; return its one output"),
    ("laplacian", lambda x: 1.0, X, "the scalar must return one tensor, got float; return a tensor, without .item()"),
]


@pytest.mark.parametrize(("operator", "f", "x", "message"), WRONG)
def test_a_shape_that_does_not_fit_is_told(operator: str, f: Callable[[Tensor], Any], x: Tensor, message: str) -> None:
    with pytest.raises(ShapeError) as told:
        checked(f, OPERATORS[operator])(x)
    assert str(told.value) == message


def test_a_complex_result_goes_through_as_it_is() -> None:
    def wave(x: Tensor) -> Tensor:
        return torch.exp(1j * x.sum(-1))

    found = checked(wave, OPERATORS["laplacian"])(X)
    assert found.dtype == torch.complex64
    assert torch.equal(found, wave(X))
    assert checked(lambda x: wave(x).real, OPERATORS["laplacian"])(X).shape == (4,)
    with pytest.raises(ShapeError, match=r"^the scalar must map \(4, 3\) to \(4,\), got \(\); if f takes one point"):
        checked(lambda x: wave(x).sum(), OPERATORS["laplacian"])(X)


def test_a_function_is_found_behind_its_check() -> None:
    assert checked(summed, OPERATORS["laplacian"]).__wrapped__ is summed  # type: ignore[attr-defined]


def test_of_what_is_compiled_its_eager_form_is_called() -> None:
    net = nn.Linear(3, 3)
    compiled = torch.compile(net, backend="eager")
    assert eager(compiled) is net
    assert eager(torch.compile(summed, backend="eager")) is summed
    assert eager(net) is net
    assert checked(compiled, OPERATORS["divergence"]).__wrapped__ is net  # type: ignore[attr-defined]


def test_hooks_of_a_compiled_module_are_run() -> None:
    net = nn.Linear(3, 3)
    net.register_forward_hook(lambda module, inputs, output: 2 * output)
    torch.testing.assert_close(eager(torch.compile(net, backend="eager"))(X), net(X))


def test_a_module_compiled_in_place_is_called_as_it_was() -> None:
    net = nn.Sequential(nn.Linear(3, 1), nn.Tanh(), nn.Flatten(-2))
    net.register_forward_hook(lambda module, inputs, output: 2 * output)
    expected = net(X)
    net.compile(backend="eager")
    torch.testing.assert_close(eager(net)(X), expected)
    assert eager(net) == net._call_impl


def switches() -> list[bool]:
    return [getattr(torch.backends.cuda, f"{name}_sdp_enabled")() for name in FUSED]


@pytest.fixture(params=[(True, True, True), (True, False, False), (False, False, False)], ids=["all", "one", "none"])
def switched(request: pytest.FixtureRequest):
    before = switches()
    for name, on in zip(FUSED, request.param, strict=True):
        getattr(torch.backends.cuda, f"enable_{name}_sdp")(on)
    yield list(request.param)
    for name, on in zip(FUSED, before, strict=True):
        getattr(torch.backends.cuda, f"enable_{name}_sdp")(on)


@pytest.mark.parametrize("tracked", [True, False])
def test_fused_attention_is_off_while_f_is_differentiated(switched: list[bool], tracked: bool) -> None:
    with torch.set_grad_enabled(tracked):
        with plain_attention():
            assert switches() == [False] * 3
            assert torch.backends.cuda.math_sdp_enabled()
            with plain_attention():
                assert switches() == [False] * 3
            assert switches() == [False] * 3
        assert switches() == switched


def test_the_last_of_several_threads_puts_the_switches_back(switched: list[bool]) -> None:
    first, second = plain_attention(), plain_attention()
    first.__enter__()
    second.__enter__()
    first.__exit__()
    assert switches() == [False] * 3
    second.__exit__()
    assert switches() == switched


def test_what_f_switches_on_for_itself_is_its_own(switched: list[bool]) -> None:
    with plain_attention():
        torch.backends.cuda.enable_flash_sdp(True)
        with plain_attention():
            assert switches() == [False] * 3
        assert switches() == [True, False, False]
        torch.backends.cuda.enable_flash_sdp(False)
    assert switches() == switched


def test_the_switches_are_put_back_after_an_error(switched: list[bool]) -> None:
    with pytest.raises(ValueError, match="mine"), plain_attention():
        raise ValueError("mine")
    assert switches() == switched


def test_attention_has_second_derivatives_then() -> None:
    def attention(x: Tensor) -> Tensor:
        tokens = x.unflatten(-1, (2, 4)).unsqueeze(1)
        return nn.functional.scaled_dot_product_attention(tokens, tokens, tokens).square().sum((1, 2, 3))

    x = torch.randn(2, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()

    def second() -> Tensor:
        (g,) = torch.autograd.grad(attention(x).sum(), x, create_graph=True)
        return torch.autograd.grad(g.square().sum(), x)[0]

    with pytest.raises(RuntimeError, match="derivative for .* is not implemented"):
        second()
    with plain_attention():
        assert bool(second().isfinite().all())
