"""Changes of variables: outputs, coordinates, complex numbers, points of several axes and the bilaplacian."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from jacstrat import (
    OPERATORS,
    UnsupportedError,
    bilaplacian,
    divergence,
    hessian_diagonal,
    jacobian_diagonal,
    laplacian,
    parse_strategy,
)
from jacstrat.strategies.stages import _index
from tests.strategies.waves import B, M, N, a, each, field, near, points, serving, wave

pytestmark = pytest.mark.long(but_one_in=3)


@each
def test_the_bilaplacian(spec: str) -> None:
    serving(spec, "bilaplacian")
    x = points()
    near(bilaplacian(wave, x, spec), (a @ a) ** 2 * wave(x))
    near(bilaplacian(lambda x: (x[..., 0] * x[..., 1]).square(), x, spec), torch.full((B,), 8.0, dtype=x.dtype))


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
