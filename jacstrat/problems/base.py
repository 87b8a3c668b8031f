"""A problem: a row-wise function, where to evaluate it, and the answer derived by hand."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from jacstrat.errors import UsageError

Kind = Literal["field", "scalar"]
Parameters = Mapping[str, np.ndarray]
OPERATORS: Mapping[Kind | None, tuple[str, ...]] = {
    "field": ("divergence", "jacobian_diagonal"),
    "scalar": ("laplacian",),
    None: ("divergence", "jacobian_diagonal", "laplacian"),
}


def uniform(low: float, high: float) -> Callable[[int, int, np.random.Generator], np.ndarray]:
    """A sampler of points, (B, n), with coordinates uniform in [low, high)."""
    return lambda n, batch, rng: rng.uniform(low, high, (batch, n))


def no_parameters(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Parameters of a function that has none."""
    return {}


def any_size(n: int) -> str | None:
    """The rule of a function that takes every n."""
    return None


def at_least(least: int) -> Callable[[int], str | None]:
    """The rule of a function that needs so many coordinates."""
    return lambda n: None if n >= least else f"n must be at least {least}"


@dataclass(frozen=True)
class Problem:
    """A function to differentiate, with its answer.

    Fields:
        name: As on the command line.
        kind: "field", (B, n) -> (B, n), or "scalar", (B, n) -> (B,); None where the caller says which by the operator.
        formula: The function, in one line of plain text.
        answer: The operator's closed form, in one line of plain text.
        function: Row-wise torch function `function(x, **parameters)`, or an nn.Module, copied to each dtype and device.
        diagonal: The diagonal J_ii of the field's Jacobian, or H_ii of the scalar's Hessian, derived by hand:
            numpy, `diagonal(x, **parameters)`, (B, n) -> (B, n), in whatever precision x has. None where there is no
            closed form: the reference is then a dense autodiff matrix.
        structure: Of J or H: "diagonal", "tridiagonal", "banded" (a few beside the diagonal, around the ring where it
            is periodic), "sparse" (a few anywhere in a row), "dense", or "unknown".
        parameters: Weights by name, float64, from n and a seeded generator: `parameters(n, rng)`.
        points: Points in the domain, float64, (B, n): `points(n, batch, rng)`.
        domain: Where the points lie, in words.
        origin: Where the problem comes from.
        refuse: A reason why the function cannot have this n, or None.
        sizes: Values of n that suit it.
    """

    name: str
    kind: Kind | None
    formula: str
    answer: str
    function: Callable[..., Tensor]
    diagonal: Callable[..., np.ndarray] | None
    structure: str
    parameters: Callable[[int, np.random.Generator], Parameters] = no_parameters
    points: Callable[[int, int, np.random.Generator], np.ndarray] = field(default=uniform(-1.0, 1.0))
    domain: str = "[-1, 1)^n"
    origin: str = ""
    refuse: Callable[[int], str | None] = any_size
    sizes: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)

    @property
    def operators(self) -> tuple[str, ...]:
        """Operators that this kind of function has."""
        return OPERATORS[self.kind]

    def instance(
        self, n: int, batch: int, dtype: torch.dtype = torch.float64, device: str = "cpu", seed: int = 0
    ) -> Instance:
        """The function and its points at one size, the same numbers on every machine.

        Raises:
            UsageError: The function cannot have this n; says which it can.
        """
        for name, number in (("n", n), ("batch", batch)):
            if number < 1:
                raise UsageError(f"{name} must be a positive integer, got {number}")
        if reason := self.refuse(n):
            raise UsageError(f"{self.name} cannot have n = {n}: {reason}")
        # Two streams, so that the weights do not move when the batch does. PCG64 is the same on every platform.
        weights, points = (np.random.Generator(np.random.PCG64([seed, stream])) for stream in (0, 1))

        def tensor(array: np.ndarray) -> Tensor:
            return torch.from_numpy(np.array(array, dtype=np.float64)).to(dtype=dtype, device=device)

        x = tensor(self.points(n, batch, points))
        if isinstance(self.function, torch.nn.Module):
            module = copy.deepcopy(self.function).to(dtype=dtype, device=device)
            return Instance(self, x, module, {name: p for name, p in module.named_parameters() if p.requires_grad})
        parameters = {name: tensor(array).requires_grad_() for name, array in self.parameters(n, weights).items()}
        return Instance(self, x, partial(self.function, **parameters), parameters)


@dataclass(frozen=True, eq=False)
class Instance:
    """A problem at one n, batch, dtype, device and seed.

    Fields:
        problem: What it is an instance of.
        x: The points, (B, n).
        f: The row-wise function, its parameters bound.
        parameters: Those that require grad, by name.
    """

    problem: Problem
    x: Tensor
    f: Callable[[Tensor], Tensor]
    parameters: Mapping[str, Tensor]

    def reference(self, operator: str) -> Reference:
        """The answer for exactly these x and parameters, as rounded to their dtype."""
        if self.problem.diagonal is None:
            if isinstance(self.f, torch.nn.Module):
                f: Callable[[Tensor], Tensor] = copy.deepcopy(self.f).double()
            else:
                double = {name: value.detach().double() for name, value in self.parameters.items()}
                f = partial(self.problem.function, **double)
            return dense_reference(f, self.x, operator)
        parameters = {name: _wide(value) for name, value in self.parameters.items()}
        diagonal = self.problem.diagonal(_wide(self.x), **parameters)
        return Reference(diagonal, "closed form in numpy.longdouble")


@dataclass(frozen=True, eq=False)
class Reference:
    """The true diagonal, and what follows from it.

    Fields:
        diagonal: J_ii or H_ii, (B, n), numpy.longdouble.
        source: How it was found, in words.
    """

    diagonal: np.ndarray
    source: str

    def value(self, operator: str) -> np.ndarray:
        """The operator's answer: (B, n) for "jacobian_diagonal", else (B,)."""
        return self.diagonal if operator == "jacobian_diagonal" else self.diagonal.sum(-1)

    def scale(self, operator: str) -> np.ndarray:
        """The size of the terms, which a relative error is relative to, in the shape of `value`.

        The sum of |J_ii| over i, so that a trace near zero is not excused; for "jacobian_diagonal" the largest |J_ii|.
        """
        size = np.abs(self.diagonal)
        if operator == "jacobian_diagonal":
            return np.broadcast_to(size.max(-1, keepdims=True), size.shape)
        return size.sum(-1)


def dense_reference(f: Callable[[Tensor], Tensor], x: Tensor, operator: str) -> Reference:
    """The diagonal of a dense Jacobian, or Hessian for "laplacian", by torch.autograd, row by row.

    In float64 where f takes it; else, as when f holds weights of another dtype, in the dtype of x.
    """
    try:
        diagonal = _dense_diagonal(f, x.detach().double(), operator)
    except RuntimeError:
        diagonal = _dense_diagonal(f, x.detach().clone(), operator)
    return Reference(_wide(diagonal), f"dense autograd in {str(diagonal.dtype).removeprefix('torch.')}")


def _dense_diagonal(f: Callable[[Tensor], Tensor], x: Tensor, operator: str) -> Tensor:
    with torch.enable_grad():
        x.requires_grad_()
        y = f(x)
        if operator == "laplacian" and y.requires_grad:
            (y,) = torch.autograd.grad(y.sum(), x, create_graph=True, materialize_grads=True)
        if not y.requires_grad:
            return torch.zeros_like(x)
        rows = (
            torch.autograd.grad(y[..., i].sum(), x, retain_graph=True, materialize_grads=True)[0]
            for i in range(x.shape[-1])
        )
        return torch.stack([row[..., i] for i, row in enumerate(rows)], -1)


def _wide(tensor: Tensor) -> np.ndarray:
    return tensor.detach().to("cpu", torch.float64).numpy().astype(np.longdouble)
