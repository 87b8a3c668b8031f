"""Where gradients are tracked a claim is judged by its gradient, too; and nothing of the caller's is touched by it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from jacstrat import parse_strategy
from tests.strategies.claims import (
    EDGE,
    A,
    D,
    P,
    X,
    cubes,
    cubes_of,
    fault,
    fault_of,
    normed,
    normed_by_hand,
    right,
)


class TestGradients:
    def test_a_gradient_that_is_missing_is_told_where_gradients_are_tracked(self) -> None:
        def cut(x: Tensor) -> Tensor:
            return 6 * (P.detach() * x).sum(-1)

        message = "has a gradient in what f holds that is off by 1 of its size"
        assert fault(cut) == message
        assert fault(cut, tracked=False) == ""
        with torch.no_grad():
            assert fault(cut) == ""
            assert fault(cut, tracked=True) == message

    def test_the_gradient_in_the_points_is_looked_at_where_they_are_tracked(self) -> None:
        def cut(x: Tensor) -> Tensor:
            return 6 * (P * x.detach()).sum(-1)

        assert fault(cut) == ""
        assert fault(cut, X.clone().requires_grad_()).startswith("has a gradient in what f holds that is off by ")

    def test_a_gradient_that_is_off_in_one_parameter_is_told(self) -> None:
        scale = torch.tensor(2.0, dtype=D, requires_grad=True)
        message = fault(lambda x: scale.detach() * right(x), f=lambda x: scale * cubes(x))
        assert message.startswith("has a gradient in what f holds that is off by ")

    def test_a_gradient_that_cannot_be_had_is_told(self) -> None:
        class NoWayBack(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return x.clone()

        assert fault(lambda x: NoWayBack.apply(right(x))).startswith("has no gradient: You must implement either the ")

    def test_a_graph_that_f_holds_is_differentiated_by_autograd(self) -> None:
        weight = P.exp()

        def held(x: Tensor) -> Tensor:
            return (weight * x**3).sum(-1)

        assert fault(lambda x: 6 * (weight * x).sum(-1), f=held) == ""
        assert fault(lambda x: 6 * (weight.detach() * x).sum(-1), f=held).endswith("that is off by 1 of its size")
        torch.autograd.grad(weight.sum(), P)

    def test_what_f_cuts_off_is_cut_off_in_the_claim(self) -> None:
        def cut(x: Tensor) -> Tensor:
            return (P.detach() * P * x**3).sum(-1)

        assert fault(lambda x: 6 * (P.detach() * P * x).sum(-1), f=cut) == ""
        assert fault(lambda x: 6 * (P * P * x).sum(-1), f=cut).startswith("has a gradient in what f holds that is off")

    def test_where_f_cuts_off_a_tensor_of_little_weight_is_looked_at_by_itself(self) -> None:
        gain, little = torch.ones((), dtype=D, requires_grad=True), 1e-6

        def cut(x: Tensor) -> Tensor:
            return (little * P.detach() * P * x**3 + gain * x**2).sum(-1)

        assert fault(lambda x: (6 * little * P.detach() * P * x + 2 * gain).sum(-1), f=cut) == ""
        message = fault(lambda x: (6 * little * P * P * x + 2 * gain).sum(-1), f=cut)
        assert message.endswith("of its size in one tensor")

    def test_a_cut_that_the_value_hardly_shows_is_seen_in_the_second_derivative(self) -> None:
        x = X[:3].clone()

        def clamped(x: Tensor) -> Tensor:
            z = P * x
            with torch.no_grad():
                z.clamp_(min=0.2)
            return (1e3 * P * x + 3e-4 * (40 * z).sin()).sum(-1)

        assert bool((P * x < 0.2).any())
        for strategy in ("identity", "vmap"):
            assert fault_of(strategy, clamped, x) == ""

    def test_a_cut_that_cuts_nothing_off_hides_no_fault(self) -> None:
        def softmax(x: Tensor) -> Tensor:
            e = (P * x - (P * x).amax(-1, keepdim=True).detach()).exp()  # as people write it against overflow
            return e / e.sum(-1, keepdim=True)

        x = X[:3].clone().requires_grad_()
        assert fault_of("vmap", lambda x: cubes(softmax(x)), x) == ""
        assert fault_of("vmap", lambda x: normed(softmax(x)), x).startswith(
            "has a gradient in what f holds that is off"
        )

    def test_a_row_at_an_edge_leaves_no_gradient_to_any_and_is_no_fault(self) -> None:
        x = torch.cat((torch.zeros(1, 4, dtype=D), X[:2]))
        for strategy in ("identity", "vmap"):
            assert fault_of(strategy, lambda x: (P * x).norm(dim=-1) + cubes(x), x) == ""

    def test_a_gradient_that_is_no_number_is_told(self) -> None:
        claim = right

        def broken(x: Tensor) -> Tensor:
            return claim(x) + 0 * (P - P.detach()).abs().sqrt().sum()

        message = f"has a gradient that is not finite where the operator is smooth: {EDGE}"
        assert fault(broken) == message

    def test_the_third_derivative_of_a_layer_norm_is_wrong_in_torch(self) -> None:
        x = X[:3].clone().requires_grad_()
        assert fault_of("vmap", normed, x, tracked=False) == ""
        assert fault_of("vmap", normed, x).startswith("has a gradient in what f holds that is off by ")
        assert fault_of("vmap", normed_by_hand, x) == ""
        assert fault_of("taylor", normed, x) == ""

    def test_it_is_seen_where_the_layer_norm_bends_sharply(self) -> None:
        x = X[:3].clone()
        x[0] = 0  # a row of equal entries, where the curvature is 1 / sqrt(eps)
        x.requires_grad_()

        def bent(x: Tensor) -> Tensor:
            return nn.functional.layer_norm(x * A[0, 0], (4,), eps=1e-2).mul(A[0, 1]).exp().sum(-1)

        assert fault_of("taylor", bent, x) == ""
        assert fault_of("vmap", bent, x).startswith("has a gradient in what f holds that is off by ")

    def test_what_is_cut_off_and_has_no_derivative_hides_nothing(self) -> None:
        x = X[:3].clone().requires_grad_()

        def with_places(x: Tensor) -> Tensor:
            with torch.no_grad():
                places = torch.arange(4, dtype=D).sin()
            return normed(x + places)

        assert fault_of("taylor", with_places, x) == ""


class TestNothingIsTouched:
    def test_parameters_gradients_and_random_numbers_are_to_the_bit(self) -> None:
        net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 1), nn.Flatten(-2)).double()
        net(X).sum().backward()
        x = X.clone().requires_grad_()
        x.grad = torch.ones_like(x)
        kept = [*net.parameters(), x]
        before = [(t.detach().clone(), t.grad.clone(), t.grad, t._version) for t in kept if t.grad is not None]
        state = torch.get_rng_state()
        assert fault_of("vmap", net, x) == ""
        assert fault(lambda x: net(x), x, net) != ""
        assert torch.equal(torch.get_rng_state(), state)
        assert len(before) == len(kept)
        for tensor, (value, gradient, same, version) in zip(kept, before, strict=True):
            assert torch.equal(tensor, value)
            assert tensor.grad is same
            assert torch.equal(same, gradient)
            assert tensor._version == version

    def test_a_graph_of_the_callers_is_still_to_be_gone_back_in(self) -> None:
        weight = torch.linspace(1, 2, 4, dtype=D, requires_grad=True)
        x = X[:3].clone().requires_grad_()
        pending = ((weight * x).sin() * weight).sum()
        expected = torch.autograd.grad(pending, (weight, x), retain_graph=True)
        assert fault(lambda x: 6 * (weight * x).sum(-1), x, cubes_of(weight)) == ""
        pending.backward()
        assert weight.grad is not None
        assert torch.equal(weight.grad, expected[0])
        assert x.grad is not None
        assert torch.equal(x.grad, expected[1])

    def test_parameters_are_put_back_after_an_error(self) -> None:
        weight, calls = torch.ones(4, dtype=D, requires_grad=True), []

        def breaking(x: Tensor) -> Tensor:
            calls.append(weight.detach().clone())
            if not torch.equal(calls[-1], torch.ones(4, dtype=D)):
                raise ZeroDivisionError("moved")
            return cubes_of(weight)(x)

        with pytest.raises(ZeroDivisionError, match="moved"):
            fault(lambda x: 6 * (weight * x).sum(-1), f=breaking)
        assert torch.equal(weight.detach(), torch.ones(4, dtype=D))


@pytest.mark.parametrize("spec", ["vmap", "jvp", "jacrev", "jacfwd", "auto"])
def test_the_gradient_of_terms_that_cancel_is_their_rounding(spec: str) -> None:
    """A flow without sources: the divergence is 0 whatever c is, and its gradient in c what rounding leaves."""
    c = torch.tensor(1.3, requires_grad=True)
    x = torch.rand(50, 2, generator=torch.Generator().manual_seed(0)) + 0.5

    def flow(x: Tensor) -> Tensor:
        a, b = (c * x).unbind(-1)
        return torch.stack((a.sin().exp() * b.cos(), -a.cos() * a.sin().exp() * b.sin()), -1)

    prepared = parse_strategy(spec).prepare("divergence", flow, x)
    (found,) = torch.autograd.grad(prepared(x).sum(), c)
    assert abs(float(found)) < 1e-3


def test_what_is_off_by_more_than_the_rounding_of_its_terms_is_seen() -> None:
    c = torch.tensor(1.3, requires_grad=True)
    x = torch.rand(50, 2, generator=torch.Generator().manual_seed(0)) + 0.5

    def flow(x: Tensor) -> Tensor:
        a, b = (c * x).unbind(-1)
        return torch.stack((a.sin(), -b.cos() - a.cos() * 0), -1)

    def wrong(x: Tensor) -> Tensor:
        return c * (c * x[..., 0]).cos() + c.detach() * (c * x[..., 1]).sin()

    assert "gradient" in fault(wrong, x, flow, "divergence")
