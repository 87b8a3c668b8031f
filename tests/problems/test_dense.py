"""References by dense matrices, of every operator with coordinates, weights, arguments, outputs, complex numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from jacstrat import PROBLEMS
from jacstrat.core.operator import OPERATORS, Operator
from jacstrat.problems import Problem
from jacstrat.problems.dense import dense_reference

pytestmark = pytest.mark.long(but_one_in=3)

N, B = 4, 3
D = torch.float64
GENERATOR = torch.Generator().manual_seed(0)
X = torch.rand(B, N, dtype=D, generator=GENERATOR)
T = torch.rand(B, 1, dtype=D, generator=GENERATOR)
M = torch.randn(N, N, dtype=D, generator=GENERATOR)
K = torch.randn(2, N, dtype=D, generator=GENERATOR)
WEIGHTS: dict[str, Any] = {
    "none": None,
    "numbers": (1.0, -2.0, 0.5, 3.0),
    "(n,)": torch.arange(1.0, N + 1, dtype=D),
    "(n, n)": torch.randn(N, N, dtype=D, generator=GENERATOR),
    "(B, n)": torch.randn(B, N, dtype=D, generator=GENERATOR),
    "(B, n, n)": torch.randn(B, N, N, dtype=D, generator=GENERATOR),
    "function": lambda x, t: torch.diag_embed(x) + t.unsqueeze(-1) * torch.ones(N, N, dtype=x.dtype),
}


def field(x: Tensor, t: Tensor) -> Tensor:
    return torch.sin(x @ M.T) * t


def scalar(x: Tensor, t: Tensor) -> Tensor:
    a, b = torch.sin(x @ K.T).unbind(-1)
    return a * b * t[..., 0]


def outputs(x: Tensor, t: Tensor) -> Tensor:
    return torch.sin(x @ K.T) * t * x[..., :1] ** 2


def complexly(f: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda x, t: torch.complex(f(x, t), f(2 * x, t))


def matrix(f: Callable[..., Tensor], order: int) -> np.ndarray:
    """J, or H of each output, at each point, by torch.func: (B, [m,] n, n), of the real and the imaginary part."""

    def of(part: str) -> np.ndarray:
        def real(x: Tensor, t: Tensor) -> Tensor:
            y = f(x, t)
            return getattr(y, part) if y.is_complex() else y if part == "real" else torch.zeros_like(y)

        derivative = torch.func.jacrev(real)
        derivative = torch.func.jacrev(derivative) if order == 2 else derivative
        return torch.func.vmap(derivative)(X, T).numpy()

    return of("real") + 1j * of("imag")


def weight_at(weight: Any) -> np.ndarray:
    """A at each point, (B, n, n)."""
    A = weight(X, T) if callable(weight) else torch.eye(N, dtype=D) if weight is None else torch.as_tensor(weight)
    if A.shape[-1:] == (N,) and A.shape != (N, N) and A.dim() < 3:
        A = torch.diag_embed(A.to(D))
    return A.to(D).expand(B, N, N).numpy()


def operators() -> list[Operator]:
    found = []
    for one in OPERATORS.values():
        for coordinates in (None, (1,), (2, 0)):
            weights = WEIGHTS.values() if one.is_trace and one.order < 4 else (None,)
            found += [replace(one, coordinates=coordinates, weight=weight) for weight in weights]
    return found


@pytest.mark.parametrize("is_complex", [False, True], ids=["real", "complex"])
@pytest.mark.parametrize("operator", operators(), ids=str)
def test_a_dense_reference_is_the_contraction_of_the_matrix(operator: Operator, is_complex: bool) -> None:
    for f in (field,) if operator.kind == "field" else (scalar, outputs):
        f = complexly(f) if is_complex else f
        found = dense_reference(f, X, operator, (T,))
        S = list(operator.coordinates or range(N))
        A = weight_at(operator.weight)
        if operator.order == 4:
            expected = twice(f, S)
        else:
            H = matrix(f, operator.order)[..., S, :][..., :, S]
            A = A[:, S][:, :, S]
            A = A[:, None] if H.ndim == 4 else A
            # (J A)_jj = sum_i J_ji A_ij.
            products = H * np.swapaxes(A, -1, -2)
            expected = operator.reduced(products.sum(-1) if operator.weight is not None else _entries(H))
            sizes = np.abs(products.real) + np.abs(products.imag)
            if operator.is_trace:
                # The size of a term that is a sum itself is that of its own terms.
                assert (found.scale(operator) <= sizes.sum((-1, -2)) * (1 + 1e-12)).all()
                assert (found.scale(operator) >= np.abs(expected) * (1 - 1e-12)).all()
        assert found.value(operator).shape == expected.shape
        assert np.abs(found.value(operator) - expected).max() < 1e-12 * max(1, np.abs(expected).max())
        assert np.iscomplexobj(found.diagonal) == is_complex
        assert (found.source, found.dtype) == ("dense autograd in float64", D)


def _entries(H: np.ndarray) -> np.ndarray:
    return np.diagonal(H, axis1=-2, axis2=-1)


def twice(f: Callable[..., Tensor], S: list[int]) -> np.ndarray:
    """The Laplacian of the Laplacian over S, by torch.func."""

    def once(g: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
        def lap(x: Tensor, t: Tensor) -> Tensor:
            H = torch.func.jacfwd(torch.func.jacrev(g))(x, t)
            return H.diagonal(dim1=-2, dim2=-1)[..., S].sum(-1)

        return lap

    def of(part: str) -> np.ndarray:
        def real(x: Tensor, t: Tensor) -> Tensor:
            y = f(x, t)
            return getattr(y, part) if y.is_complex() else y if part == "real" else torch.zeros_like(y)

        return torch.func.vmap(once(once(real)))(X, T).numpy()

    return of("real") + 1j * of("imag")


def test_a_field_of_other_outputs_is_taken_over_coordinates_by_number_or_in_order() -> None:
    three = replace(OPERATORS["divergence"], coordinates=(1, 0))
    y = dense_reference(lambda x: torch.stack((x[:, 0] * 2, x[:, 1] * 3, x[:, 2], x[:, 3], x[:, 0]), -1), X, three)
    assert y.diagonal.tolist() == [[3, 2]] * B
    two = dense_reference(lambda x: torch.stack((x[:, 1] * 5, x[:, 0] * 7), -1), X, three)
    assert two.diagonal.tolist() == [[5, 7]] * B
    every = replace(three, coordinates=(3, 2, 1, 0))
    assert dense_reference(lambda x: x * torch.arange(4.0), X, every).diagonal.tolist() == [[3, 2, 1, 0]] * B


def test_what_does_not_depend_on_x_has_derivative_zero() -> None:
    for operator in OPERATORS.values():
        for f in (torch.ones_like, lambda x: x) if operator.kind == "field" else (lambda x: x.sum(-1),):
            value = dense_reference(f, X, operator).value(operator)
            assert (value == (0 if f is torch.ones_like or operator.kind == "scalar" else value)).all()
    assert dense_reference(lambda x: (x * x).sum(-1), X, "bilaplacian").value("bilaplacian").tolist() == [0] * B


def test_arguments_of_float32_are_taken_as_they_were_rounded() -> None:
    found = dense_reference(lambda x, t: x * t, X.float(), "divergence", (T.float(),))
    assert found.value("divergence").tolist() == (N * T.float().double()[:, 0]).tolist()


@pytest.mark.parametrize("name", PROBLEMS)
def test_every_closed_form_is_the_dense_one(name: str) -> None:
    problem = PROBLEMS[name]
    for n in [n for n in (1, 2, 3, 4, 6, 9) if problem.refuse(n) is None]:
        instance = problem.instance(n, 3, seed=n)
        for spec in specs(problem, n):
            operator = instance.operator(spec)
            closed, dense = instance.reference(spec), dense_reference(instance.f, instance.x, operator, instance.args)
            if problem.diagonal is not None:
                assert closed.source == "closed form in numpy.longdouble", spec
            error = np.abs(closed.value(operator) - dense.value(operator))
            assert (error <= 1e-12 * dense.scale(operator).max()).all(), f"{spec} at n = {n}"


def specs(problem: Problem, n: int) -> list[str]:
    """What is measured of a problem, and what its diagonal makes up."""
    trace, entries = (
        ("divergence", "jacobian_diagonal") if problem.kind == "field" else ("laplacian", "hessian_diagonal")
    )
    some = f"coordinates={n - 1}" + ("+0" if n > 1 else "")
    numbers = "weight=" + "+".join(str(k - 1) for k in range(n))
    found = [*problem.operators, trace, entries, f"{trace}:{some}", f"{entries}:{some}", f"{trace}:{numbers}"]
    return list(dict.fromkeys([*found, f"{trace}:{some},{numbers}"]))
