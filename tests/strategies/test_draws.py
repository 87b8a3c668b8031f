"""Probes: their law, their seed, their place."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from jacstrat import UnsupportedError, UsageError, divergence, parse_strategy
from jacstrat.strategies.draws import CAUTION, DISTRIBUTIONS, draw, orthonormal, rate_of

each = pytest.mark.parametrize("distribution", DISTRIBUTIONS)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@each
@pytest.mark.parametrize("n", [1, 3])
def test_the_second_moment_is_the_identity(distribution, n: int) -> None:
    V = draw(distribution, 40_000, torch.zeros(n, dtype=torch.float64), seeded())
    moment = V.T @ V / len(V)
    # A standard error of an entry is at most sqrt 2 / 200.
    torch.testing.assert_close(moment, torch.eye(n, dtype=torch.float64), rtol=0, atol=5 * math.sqrt(2) / 200)


def test_each_distribution_is_what_it_is_called() -> None:
    x = torch.zeros(2, 5, dtype=torch.float64)
    assert set(draw("rademacher", 100, x, seeded()).unique().tolist()) == {-1.0, 1.0}
    norms = torch.linalg.vector_norm(draw("sphere", 100, x, seeded()), dim=-1)
    torch.testing.assert_close(norms, torch.full((100, 2), math.sqrt(5), dtype=torch.float64))
    fourth = draw("normal", 20_000, x, seeded()).pow(4).mean().item()
    assert fourth == pytest.approx(3, abs=0.15)


@each
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_every_point_has_probes_of_its_own_in_the_dtype_of_x(distribution, dtype: torch.dtype) -> None:
    V = draw(distribution, 4, torch.zeros(3, 50, dtype=dtype), seeded())
    assert (V.shape, V.dtype) == ((4, 3, 50), dtype)
    assert len(V.reshape(12, 50).unique(dim=0)) == 12


@each
def test_a_seed_gives_the_same_probes_and_without_a_generator_it_is_torchs(distribution) -> None:
    x = torch.zeros(2, 8)
    assert torch.equal(draw(distribution, 3, x, seeded(1)), draw(distribution, 3, x, seeded(1)))
    assert not torch.equal(draw(distribution, 3, x, seeded(1)), draw(distribution, 3, x, seeded(2)))
    generator = seeded(1)
    assert not torch.equal(draw(distribution, 3, x, generator), draw(distribution, 3, x, generator))
    torch.manual_seed(5)
    first = draw(distribution, 3, x, None)
    torch.manual_seed(5)
    assert torch.equal(draw(distribution, 3, x, None), first)


@each
def test_on_meta_nothing_is_drawn(distribution) -> None:
    generator = seeded()
    before = generator.get_state()
    V = draw(distribution, 3, torch.zeros(2, 8, device="meta"), generator)
    assert V.is_meta
    assert torch.equal(generator.get_state(), before)


STOCHASTIC = ("hutchinson", "hutch++", "xtrace")


@pytest.mark.parametrize("spec", STOCHASTIC)
def test_a_vmap_around_it_needs_a_rule_for_random_numbers(spec: str) -> None:
    x = torch.linspace(-1, 1, 80, dtype=torch.float64).reshape(4, 20)

    def at(point):
        return divergence(lambda x: x.sin() * x.sum(-1, keepdim=True), point, spec)

    with pytest.raises(UnsupportedError, match="random numbers are drawn in it"):
        torch.func.vmap(at)(x)
    torch.manual_seed(0)
    different = torch.func.vmap(at, randomness="different")(x)
    assert different.shape == (4,)
    assert bool(different.isfinite().all())


@pytest.mark.parametrize("shape", [(6, 3), (2, 6, 3), (0, 6, 3)])
def test_an_orthonormal_basis_of_any_rank(shape) -> None:
    full = torch.randn(shape, dtype=torch.float64, generator=seeded())
    for Y in (full, full * torch.tensor([1.0, 0, 0]), full[..., :1].expand(shape), torch.zeros(shape).double()):
        Q, R = orthonormal(Y)
        eye = torch.eye(3, dtype=torch.float64).expand(*shape[:-2], 3, 3)
        torch.testing.assert_close(Q.mT @ Q, eye, rtol=0, atol=1e-12)
        torch.testing.assert_close(Q @ R, Y, rtol=0, atol=1e-12)


def test_the_claimed_rate_is_that_of_students_t_with_caution() -> None:
    assert rate_of(1) is rate_of(1, exchangeable=True) is None
    assert rate_of(2) == pytest.approx(CAUTION / 2)
    assert rate_of(1000) == pytest.approx(CAUTION * 0.6827, abs=1e-3)
    assert rate_of(4, exchangeable=True) < rate_of(4)
    t = np.random.default_rng(0).standard_t(7, 200_000)
    assert rate_of(8, exchangeable=True) == pytest.approx(CAUTION * (np.abs(t) <= 8**-0.5).mean(), abs=0.004)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("hutchinson:probes=0", "probes must be a whole number of at least 1, got 0; leave it out for 16"),
        ("hutchinson:probes=2.5", "probes must be a whole number of at least 1, got 2.5"),
        ("hutchinson:probes=true", "got True"),
        ("hutch++:probes=2", "probes must be a whole number of at least 3, got 2"),
        ("xtrace:probes=3", "probes must be a whole number of at least 4, got 3"),
        ("xnystrace:probes=1", "probes must be a whole number of at least 2, got 1"),
        ("hutchinson:distribution=norml", "unknown distribution 'norml'; did you mean normal?"),
        ("hutchinson:fixed=1", "fixed must be true or false, got 1"),
        ("xtrace:product=sideways", "unknown product 'sideways'; known: forward, reverse"),
        ("hutch++:chunk_size=0", "chunk_size must be a positive integer or all, got 0"),
    ],
)
def test_bad_parameters_say_what_and_the_remedy(spec: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_strategy(spec)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    "spec",
    [
        "hutchinson:probes=4,distribution=sphere,fixed=true,product=forward,chunk_size=2",
        "hutch++:probes=9,product=forward",
        "xtrace:probes=8,chunk_size=1",
        "xnystrace:probes=8",
    ],
)
def test_specs_round_trip(spec: str) -> None:
    assert parse_strategy(spec).spec == spec
