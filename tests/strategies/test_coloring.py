"""One probe a colour: how many, what it refuses, what it says, and that it stands where unit vectors stand."""

from __future__ import annotations

import pytest
import torch

from jacstrat import PROBLEMS, STRATEGIES, UnsupportedError, UsageError, parse_strategy
from jacstrat.measure.counters import count

pytestmark = pytest.mark.long(but_one_in=2)

SPECS = ("coloring", "coloring:product=forward", "coloring:chunk_size=1", "coloring:product=forward,chunk_size=2")


def prepared(spec: str, name: str, n: int, operator: str):
    instance = PROBLEMS[name].instance(n, 3)
    return parse_strategy(spec).prepare(operator, instance.f, instance.x), instance


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize(
    ("name", "n", "operator", "colors"),
    [
        ("bratu", 33, "divergence", 2),
        ("burgers", 33, "jacobian_diagonal", 3),
        ("lorenz96", 34, "divergence", 4),
        ("rosenbrock", 33, "laplacian", 2),
        ("sin_sum", 33, "laplacian", 1),
        ("linear", 5, "divergence", 5),
    ],
)
def test_as_many_products_as_colours(spec: str, name: str, n: int, operator: str, colors: int) -> None:
    evaluate, instance = prepared(spec, name, n, operator)
    strategy = parse_strategy(spec)

    def made(f):
        evaluate = strategy.prepare(operator, f, instance.x)
        return lambda: evaluate(instance.x)

    found = count(made, instance.f, instance.x)
    products = (found.vjp_products, found.jvp_products)
    forward = "forward" in spec
    if operator != "laplacian":
        assert products == ((0, colors) if forward else (colors, 0))
    reference = parse_strategy("vmap").prepare(operator, instance.f, instance.x)(instance.x)
    torch.testing.assert_close(evaluate(instance.x), reference, rtol=1e-14, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "n", "reason"),
    [
        ("bratu", 12, "traced: tridiagonal, bandwidth 1, 2 colours of n = 12"),
        ("burgers", 13, "traced: banded around the ring, bandwidth 1, 3 colours of n = 13"),
        ("softmax", 12, "traced: dense, 12 colours of n = 12"),
    ],
)
def test_the_reason_is_the_structure(name: str, n: int, reason: str) -> None:
    evaluate, _ = prepared("coloring", name, n, "divergence")
    assert evaluate.reason == reason


def branch(x):
    return x.sin() if x.sum() > 0 else x * x


def test_without_a_proof_it_refuses_unless_it_is_told_to_trust() -> None:
    x = torch.ones(2, 3)
    with pytest.raises(UnsupportedError) as raised:
        parse_strategy("coloring").prepare("divergence", branch, x)
    assert str(raised.value) == (
        "coloring has no proof of the structure of this function: it depends on a value: "
        "aten._local_scalar_dense.default; trust=true takes the pattern that is sampled"
    )
    trusting = parse_strategy("coloring:trust=true").prepare("divergence", branch, x)
    assert trusting.reason == "sampled: diagonal, 1 colour of n = 3"
    torch.testing.assert_close(trusting(x), x.cos().sum(-1))


def test_without_a_proof_f_is_not_called_far_from_x() -> None:
    seen: list[float] = []

    def converging(x):
        seen.append(float(x.detach().max()))  # a loop until something has converged may never end elsewhere
        return x.sin()

    with pytest.raises(UnsupportedError, match="no proof of the structure"):
        parse_strategy("coloring").prepare("divergence", converging, torch.ones(2, 3))
    assert set(seen) == {1.0}


def test_the_result_is_differentiable_in_parameters_and_in_x() -> None:
    W = torch.randn(6, dtype=torch.float64, requires_grad=True)
    x = torch.randn(4, 6, dtype=torch.float64, requires_grad=True)

    def f(x):
        return torch.tanh(W * x) + x.roll(1, -1).square() * W

    grads = [
        torch.autograd.grad(parse_strategy(spec).prepare("divergence", f, x)(x).square().sum(), (W, x))
        for spec in ("vmap", "coloring", "coloring:product=forward")
    ]
    for found in grads[1:]:
        torch.testing.assert_close(found, grads[0])


def test_one_preparation_serves_batches_of_every_size() -> None:
    evaluate, instance = prepared("coloring", "bratu", 8, "divergence")
    whole = evaluate(instance.x)
    assert torch.equal(evaluate(instance.x[0]), whole[0])
    assert torch.equal(evaluate(instance.x[:1]), whole[:1])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("coloring:product=backward", "product must be reverse or forward, got 'backward'; leave it out for reverse"),
        ("coloring:chunk_size=0", "chunk_size must be a positive integer or all, got 0"),
        ("coloring:trust=1", "trust must be true or false, got 1; leave it out for false"),
    ],
)
def test_a_bad_parameter_says_the_remedy(spec: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_strategy(spec)
    assert str(raised.value).startswith(message)


def test_specs_round_trip() -> None:
    for spec in (*SPECS, "coloring:trust=true"):
        assert parse_strategy(spec).spec == spec
    assert STRATEGIES["coloring"]() == parse_strategy("coloring:product=reverse,chunk_size=all,trust=false")
