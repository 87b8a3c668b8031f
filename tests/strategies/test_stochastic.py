"""The stochastic strategies against the truth on average, and what all of them share."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from jacstrat import laplacian, parse_strategy
from jacstrat.core.operator import OPERATORS
from jacstrat.strategies import STRATEGIES
from tests.strategies.matrices import N, decaying, estimate, matrix, points, seeded, spectrum

pytestmark = pytest.mark.long(but_one_in=3)

STOCHASTIC = [name for name, kind in STRATEGIES.items() if kind().stochastic]
TRACES = ["hutchinson", "hutch++", "xtrace", "xnystrace"]


@pytest.mark.parametrize(
    "spec",
    [
        "hutchinson:probes=1",
        "hutchinson:probes=4,distribution=normal",
        "hutchinson:probes=4,distribution=sphere",
        "hutchinson:probes=4,product=forward,chunk_size=3",
        "hutch++:probes=3",
        "hutch++:probes=10",
        "xtrace:probes=4",
        "xtrace:probes=19,product=forward",
        "xnystrace:probes=2",
        "xnystrace:probes=19",
    ],
)
def test_right_on_average(spec: str) -> None:
    matrices = [decaying(), spectrum(torch.linspace(1, 3, N, dtype=torch.float64))]
    if not spec.startswith("xnystrace"):
        matrices += [matrix(), torch.triu(matrix(seed=1))]
    for A in matrices:
        value = estimate(spec, A, points(3000)).value
        z = (value.mean() - A.trace()) / (value.std() / math.sqrt(3000))
        assert abs(z.item()) < 4


@pytest.mark.parametrize(("spec", "rate"), [("hutchinson:probes=32", 0.675), ("hutch++:probes=18", 0.636)])
def test_the_standard_error_covers_the_truth_at_the_rate_of_students_t(spec: str, rate: float) -> None:
    n = 40
    A = matrix(n)
    value, std_error = estimate(spec, A, points(1000, n))
    covered = ((value - A.trace()).abs() <= std_error).double().mean().item()
    assert covered == pytest.approx(rate, abs=0.05)


@pytest.mark.parametrize("spec", ["hutchinson:probes=8", "hutch++:probes=12"])
def test_the_square_of_the_standard_error_is_the_variance_on_average(spec: str) -> None:
    value, std_error = estimate(spec, decaying(), points(4000))
    assert value.std().item() == pytest.approx(std_error.square().mean().sqrt().item(), rel=0.06)


@pytest.mark.parametrize("name", ["hutch++", "xtrace", "xnystrace"])
@pytest.mark.parametrize("n", [1, 2, 3, 16])
def test_a_budget_of_n_products_is_spent_on_unit_vectors_and_exact(name: str, n: int) -> None:
    A = matrix(n) if name != "xnystrace" else torch.eye(n, dtype=torch.float64) * 3
    value, std_error = estimate(name, A, points(4, n))
    torch.testing.assert_close(value, A.trace().expand(4), rtol=1e-14, atol=1e-14)
    assert std_error is None


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("spec", ["hutch++", "hutch++:probes=19", "xtrace", "xtrace:probes=19", "xnystrace:probes=8"])
@pytest.mark.parametrize("rank", [0, 1, 3, 4])
def test_a_rank_below_the_sketch_is_found_exactly(spec: str, rank: int, dtype: torch.dtype) -> None:
    values = torch.zeros(N, dtype=torch.float64)
    values[:rank] = torch.linspace(1, 2, rank, dtype=torch.float64)
    A = spectrum(values).to(dtype).requires_grad_()
    value, std_error = estimate(spec, A, points(50).to(dtype))
    assert value.dtype == dtype
    tolerance = 1e-11 if dtype == torch.float64 else 2e-4
    torch.testing.assert_close(value, A.trace().expand(50), rtol=0, atol=tolerance * max(rank, 1))
    assert bool(std_error.isfinite().all())
    (gradient,) = torch.autograd.grad(value.sum(), A)
    assert bool(gradient.isfinite().all())


@pytest.mark.parametrize("name", STOCHASTIC)
def test_a_vanishing_jacobian_gives_exactly_zero(name: str) -> None:
    value, std_error = estimate(name, torch.zeros(N, N, dtype=torch.float64), points(3))
    assert value.tolist() == std_error.tolist() == [0, 0, 0]


@pytest.mark.parametrize("name", STOCHASTIC)
def test_softmax_and_a_constant_give_numbers(name: str) -> None:
    strategy = parse_strategy(name)
    x = torch.randn(4, N, dtype=torch.float64, generator=seeded())
    if strategy.refuse(OPERATORS["divergence"]) is None:
        for f in (lambda x: x.softmax(-1), lambda x: torch.ones_like(x)):
            assert bool(strategy.prepare("divergence", f, x, seeded())(x).isfinite().all())
    lap = strategy.prepare("laplacian", lambda x: x.logsumexp(-1), x, seeded())(x)
    assert bool(lap.isfinite().all())


@pytest.mark.parametrize("name", STOCHASTIC)
def test_gradients_are_right_on_average(name: str) -> None:
    """tr A has the gradient I in A, whatever was held constant to take it."""
    A = (decaying() + 0.1 * torch.eye(N, dtype=torch.float64)).requires_grad_()
    gradients = []
    for seed in range(40):
        (gradient,) = torch.autograd.grad(estimate(name, A, points(100), seed).value.mean(), A)
        gradients.append((gradient + gradient.T) / 2)
    found = torch.stack(gradients)
    z = (found.mean(0) - torch.eye(N)) / (found.std(0) / math.sqrt(40) + 1e-9)
    # 210 entries; the 1e-5 quantile of Student's t with 39 degrees of freedom is 4.9.
    assert z.abs().max().item() < 5.5


@pytest.mark.parametrize("name", STOCHASTIC)
@pytest.mark.parametrize("product", ["reverse", "forward"])
def test_differentiable_in_x_and_with_the_probes_given(name: str, product: str) -> None:
    x = torch.randn(2, N, dtype=torch.float64, generator=seeded()).requires_grad_()
    W = matrix(seed=2) / N

    def scalar(x: Tensor) -> Tensor:
        return (x @ W.T).cosh().sum(-1)

    def value(x: Tensor) -> Tensor:
        strategy = parse_strategy(f"{name}:product={product}")
        return strategy.prepare("laplacian", scalar, x, seeded())(x).sum()

    (got,) = torch.autograd.grad(value(x), x)
    if name in ("hutchinson", "xnystrace"):
        # Nothing is held constant: it is the derivative of the very value.
        step = 1e-5
        for b, i in ((0, 0), (1, 7)):
            e = torch.zeros_like(x)
            e[b, i] = step
            with torch.no_grad():
                slope = (value(x + e) - value(x - e)) / (2 * step)
            assert got[b, i].item() == pytest.approx(slope.item(), rel=1e-4, abs=1e-6)
    (exact,) = torch.autograd.grad(laplacian(scalar, x, "vmap").sum(), x)
    assert torch.cosine_similarity(got.flatten(), exact.flatten(), 0).item() > 0.7
    composed = torch.func.grad(value)(x.detach())
    torch.testing.assert_close(composed, got)


@pytest.mark.parametrize("name", STOCHASTIC)
def test_reverse_and_forward_agree_on_a_symmetric_matrix_and_chunks_change_nothing(name: str) -> None:
    A, x = decaying(), points(3)
    expected = estimate(f"{name}:product=reverse", A, x).value
    for parameters in ("product=forward", "chunk_size=1", "chunk_size=5", "chunk_size=100"):
        torch.testing.assert_close(estimate(f"{name}:{parameters}", A, x).value, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", STOCHASTIC)
def test_a_call_gives_what_an_estimate_gives_and_a_point_is_a_batch_less(name: str) -> None:
    A = decaying()

    def prepared(x: Tensor):
        return parse_strategy(name).prepare("laplacian", lambda x: 0.5 * ((x @ A) * x).sum(-1), x, seeded())

    x = points(3)
    torch.testing.assert_close(prepared(x)(x), prepared(x).estimate(x).value)
    value, std_error = prepared(x[0]).estimate(x[0])
    assert value.shape == std_error.shape == ()
    torch.testing.assert_close(prepared(x[:1])(x[:1])[0], value)


@pytest.mark.parametrize("name", STOCHASTIC)
@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_other_dtypes_and_no_data(name: str, device: str, dtype: torch.dtype) -> None:
    x = torch.linspace(-1, 1, 3 * N, device=device).reshape(3, N).to(dtype)
    prepared = parse_strategy(name).prepare("laplacian", lambda x: x.square().sum(-1), x, seeded())
    value, std_error = prepared.estimate(x)
    assert (value.shape, value.dtype, value.device.type) == ((3,), dtype, device)
    assert (std_error.shape, std_error.dtype) == ((3,), dtype)
    if device == "cpu":
        torch.testing.assert_close(value.float(), torch.full((3,), 2.0 * N), rtol=0.05, atol=0)


def test_what_estimates_a_trace_alone_refuses_the_diagonal() -> None:
    for name in ("hutch++", "xtrace", "xnystrace"):
        for operator in ("jacobian_diagonal", "hessian_diagonal"):
            reason = parse_strategy(name).refuse(OPERATORS[operator])
            assert reason == "it estimates a trace alone; use hutchinson"
    reason = parse_strategy("xnystrace").refuse(OPERATORS["divergence"])
    assert reason is not None
    assert "positive semidefinite" in reason
    assert parse_strategy("xnystrace").refuse(OPERATORS["laplacian"]) is None


@pytest.mark.parametrize("name", ["hutch++", "xtrace", "xnystrace"])
def test_fewer_products_than_hutchinson_on_a_decaying_spectrum(name: str) -> None:
    A, x = decaying(64), points(300, 64)

    def rms(spec: str) -> float:
        return (estimate(spec, A, x).value - A.trace()).square().mean().sqrt().item()

    assert rms(f"{name}:probes=24") < rms("hutchinson:probes=24") / 8
