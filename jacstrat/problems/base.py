"""A problem: a row-wise function, where to evaluate it, and the answer derived by hand."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from jacstrat.core.errors import UsageError, in_words
from jacstrat.problems.reference import Reference, dense_reference, wide

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
        function: Row-wise torch function `function(x, **parameters)`, or an nn.Module, copied to each dtype and device;
            or a factory of either, `function(n)`.
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
        widths: Of the layers, n first, from n, where the function is a chain of linear layers with functions of each
            entry between, or such a chain with factors in closed form around it: what `best.best_products` takes.
            None for any other.
        factory: Whether `function` is a factory. It is called with torch's generator on the CPU seeded and restored
            afterwards, so that the weights it draws are the seed's.
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
    widths: Callable[[int], tuple[int, ...]] | None = None
    factory: bool = False

    @property
    def operators(self) -> tuple[str, ...]:
        """Operators that this kind of function has."""
        return OPERATORS[self.kind]

    def instance(
        self, n: int, batch: int, dtype: torch.dtype = torch.float64, device: str = "cpu", seed: int = 0
    ) -> Instance:
        """The function and its points at one size, the same numbers on every machine.

        Raises:
            UsageError: The function cannot have this n, and which it can; or its factory fails, and how.
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
        function = self._made(n, seed) if self.factory else self.function
        if isinstance(function, torch.nn.Module):
            module = copy.deepcopy(function).to(dtype=dtype, device=device)
            return Instance(self, x, module, {name: p for name, p in module.named_parameters() if p.requires_grad})
        parameters = {name: tensor(array).requires_grad_() for name, array in self.parameters(n, weights).items()}
        return Instance(self, x, partial(function, **parameters), parameters)

    def _made(self, n: int, seed: int) -> Callable[..., Tensor]:
        """What the factory makes for this n and seed."""
        with torch.random.fork_rng(devices=()):
            torch.default_generator.manual_seed(seed)
            try:
                made: Any = self.function(n)
            except Exception as error:
                raise UsageError(f"the factory {self.name} fails at n = {n}: {in_words(error)}") from error
        if not callable(made) or isinstance(made, type):
            raise UsageError(
                f"the factory {self.name} gives a {type(made).__name__} at n = {n}; "
                "let it return a row-wise function or an nn.Module"
            )
        return made


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
                # The parameters that are bound to f; those of a function at hand it holds by itself.
                bound = self.f.keywords if isinstance(self.f, partial) else {}
                double = {name: value.detach().double() for name, value in bound.items() if name in self.parameters}
                f = partial(self.f, **double)
            return dense_reference(f, self.x, operator)
        parameters = {name: wide(value) for name, value in self.parameters.items()}
        diagonal = self.problem.diagonal(wide(self.x), **parameters)
        return Reference(diagonal, "closed form in numpy.longdouble")
