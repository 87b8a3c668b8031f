"""A problem: a row-wise function, where to evaluate it, and the answer derived by hand."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jacstrat.core.errors import UsageError, in_words
from jacstrat.core.operator import OPERATORS, OWN, FunctionKind, Operator, parse_operator
from jacstrat.problems.arguments import check_alone
from jacstrat.problems.dense import dense_reference
from jacstrat.problems.elsewhere import UntranslatedError, evaluated
from jacstrat.problems.reference import Reference, wide

Parameters = Mapping[str, np.ndarray]
# A of `weight=own`: numbers, or a torch function of the point, called as f is.
ProblemWeight = np.ndarray | Callable[..., Tensor]
# What is measured of a function where nobody names operators; of one whose kind is not known, whatever is asked for.
USUAL: Mapping[FunctionKind | None, tuple[str, ...]] = MappingProxyType(
    {
        "field": ("divergence", "jacobian_diagonal"),
        "scalar": ("laplacian",),
        None: ("divergence", "jacobian_diagonal", "laplacian"),
    }
)


def uniform(low: float, high: float) -> Callable[[int, int, np.random.Generator], np.ndarray]:
    """A sampler of points, (B, n), with coordinates uniform in [low, high)."""
    return lambda n, batch, rng: rng.uniform(low, high, (batch, n))


def no_parameters(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Parameters of a function that has none."""
    return {}


def no_arguments(n: int, batch: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Further arguments of a function of x alone."""
    return ()


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
        kind: "field", (B, n) -> (B, n), or "scalar", (B, n) -> (B,) or (B, m); None where the caller says which by the
            operator.
        formula: The function, in one line of plain text.
        answer: The operator's closed form, in one line of plain text.
        function: Row-wise torch function `function(x, *arguments, **parameters)`, or an nn.Module, copied to each dtype
            and device; or a factory of either, `function(n)`.
        diagonal: The diagonal J_ii of the field's Jacobian, or H_ii of the scalar's Hessian, derived by hand:
            numpy, `diagonal(x, *arguments, **parameters)`, (B, n) -> (B, n), or (B, m, n) of m outputs, in whatever
            precision x has. It serves every operator that these entries make up. None where there is no closed form:
            the reference is then a dense autodiff matrix.
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
        operators: Specs of what is measured where none are asked for; USUAL of the kind unless given. A function has
            every operator of its kind.
        weight: The A of `weight=own`: `weight(n, rng)` gives an array (n,) or (n, n), float64, or a function of the
            point, in torch, called as f is, that gives (B, n) or (B, n, n).
        arguments: What f is called with after x: `arguments(n, batch, rng)` gives a tuple of arrays; floats become of
            x's dtype. Those with B rows go with the rows of x.
        closed: Closed forms of operators that the diagonal does not make up, by spec: numpy functions as `diagonal`,
            that give the terms of which the result is the sum, (B, K) or (B, m, K), or a diagonal itself; where the
            spec has `weight=own` and the weight is an array, this is their keyword A.
    """

    name: str
    kind: FunctionKind | None
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
    operators: tuple[str, ...] = ()
    weight: Callable[[int, np.random.Generator], ProblemWeight] | None = None
    arguments: Callable[[int, int, np.random.Generator], tuple[np.ndarray, ...]] = no_arguments
    closed: Mapping[str, Callable[..., np.ndarray]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.operators:
            object.__setattr__(self, "operators", USUAL[self.kind])

    def lacks(self, operator: Operator) -> str | None:
        """Why this function has no such operator, whatever n; None where it has."""
        if self.kind not in (None, operator.kind):
            known = ", ".join(one.name for one in OPERATORS.values() if one.kind == self.kind)
            return f"{self.name} is a {self.kind} and has no {operator}; it has {known}"
        if isinstance(operator.weight, str) and self.weight is None:
            return f"{self.name} names no weight for {operator}; give numbers, weight=1+2, or Problem(weight=...)"
        return None

    def unfit(self, operator: Operator, n: int) -> str | None:
        """Why there is no such operator at this n; None where there is."""
        if reason := self.refuse(n):
            return f"{self.name} cannot have n = {n}: {reason}"
        try:
            operator.check_coordinates(n)
        except UsageError as error:
            return str(error)
        if isinstance(operator.weight, tuple) and len(operator.weight) != n:
            return f"weight: {len(operator.weight)} numbers for n = {n}; give one for each coordinate"
        return None

    def instance(
        self, n: int, batch: int, dtype: torch.dtype = torch.float64, device: str = "cpu", seed: int = 0
    ) -> Instance:
        """The function and its points at one size, the same numbers on every machine.

        Raises:
            UsageError: The function cannot have this n, and which it can; its factory fails, and how; or its
                arguments are no tuple.
        """
        for name, number in (("n", n), ("batch", batch)):
            if number < 1:
                raise UsageError(f"{name} must be a positive integer, got {number}")
        if reason := self.refuse(n):
            raise UsageError(f"{self.name} cannot have n = {n}: {reason}")
        # A stream each, so that the weights do not move when the batch does. PCG64 is the same on every platform.
        weights, points, for_weight, others = (
            np.random.Generator(np.random.PCG64([seed, stream])) for stream in range(4)
        )

        def tensor(array: np.ndarray) -> Tensor:
            return torch.from_numpy(np.array(array, dtype=np.float64)).to(dtype=dtype, device=device)

        def argument(values: Any) -> Tensor:
            array = np.asarray(values)
            return tensor(array) if array.dtype.kind == "f" else torch.from_numpy(array.copy()).to(device)

        x = tensor(self.points(n, batch, points))
        arrays: Any = self.arguments(n, batch, others)
        if not isinstance(arrays, tuple | list):
            kind = type(arrays).__name__
            raise UsageError(f"arguments of {self.name} must give a tuple of arrays, (values,) of one, got a {kind}")
        args = tuple(argument(array) for array in arrays)
        weight: Any = self.weight and self.weight(n, for_weight)
        if weight is not None and not callable(weight):
            # A constant has numbers, by which it is factorised, wherever the points are.
            weight = torch.from_numpy(np.array(weight, dtype=np.float64)).to(dtype)
            weight = weight if device == "meta" else weight.to(device)
        function = self._function_of(n, seed) if self.factory else self.function
        if isinstance(function, torch.nn.Module):
            module = copy.deepcopy(function).to(dtype=dtype, device=device)
            trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
            return Instance(self, x, module, trained, args, weight)
        parameters = {name: tensor(array).requires_grad_() for name, array in self.parameters(n, weights).items()}
        return Instance(self, x, partial(function, **parameters), parameters, args, weight)

    def _function_of(self, n: int, seed: int) -> Callable[..., Tensor]:
        """What the factory makes for this n and seed."""
        with torch.random.fork_rng(devices=()):
            torch.default_generator.manual_seed(seed)
            try:
                function: Any = self.function(n)
            except Exception as error:
                raise UsageError(f"the factory {self.name} fails at n = {n}: {in_words(error)}") from error
        if not callable(function) or isinstance(function, type):
            raise UsageError(
                f"the factory {self.name} gives a {type(function).__name__} at n = {n}; "
                "let it return a row-wise function or an nn.Module"
            )
        if self.arguments is no_arguments:
            check_alone(function, self.name)
        return function


@dataclass(frozen=True, eq=False)
class Instance:
    """A problem at one n, batch, dtype, device and seed.

    Fields:
        problem: What it is an instance of.
        x: The points, (B, n).
        f: The row-wise function, its parameters bound; called as f(x, *args).
        parameters: Those that require grad, by name.
        args: Further arguments of f.
        weight: The A of `weight=own`: a tensor, or a function of the point; None where the problem names none.
    """

    problem: Problem
    x: Tensor
    f: Callable[..., Tensor]
    parameters: Mapping[str, Tensor]
    args: tuple[Any, ...] = ()
    weight: Any = None

    def value(self) -> Tensor:
        """f at the points."""
        return self.f(self.x, *self.args)

    def operator(self, spec: str | Operator) -> Operator:
        """The operator of a spec, `weight=own` being that of the problem.

        Raises:
            UsageError: There is none of that spec for this function; says why, and which there are.
        """
        operator = parse_operator(spec)
        if reason := self.problem.lacks(operator):
            raise UsageError(reason)
        return replace(operator, weight=self.weight) if isinstance(operator.weight, str) else operator

    def reference(self, operator: str | Operator, on_device: bool = False) -> Reference:
        """The answer for exactly these x, arguments and parameters, as rounded to their dtype.

        Args:
            operator: Of which.
            on_device: Evaluate a closed form in float64 on the device of x, and not by numpy in longdouble; what torch
                cannot evaluate goes to numpy all the same. A dense matrix is computed on the device in any case.
        """
        operator = self.operator(operator)
        if on_device:
            # Also where the device has no float64, or no room.
            with suppress(UntranslatedError, TypeError, RuntimeError):
                terms = self._closed(operator, lambda *inputs: wide(evaluated(*inputs)))
                if terms is not None:
                    source = f"closed form in float64 on {self.x.device.type}"
                    return Reference(terms, source, torch.float64, closed=True)
        terms = self._closed(operator, _by_numpy)
        if terms is not None:
            return Reference(terms, "closed form in numpy.longdouble", closed=True)
        if isinstance(self.f, torch.nn.Module):
            f: Callable[..., Tensor] = copy.deepcopy(self.f).double()
        else:
            # The parameters that are bound to f; those of a function at hand it holds by itself.
            bound = self.f.keywords if isinstance(self.f, partial) else {}
            double = {name: value.detach().double() for name, value in bound.items() if name in self.parameters}
            f = partial(self.f, **double)
        return dense_reference(f, self.x, operator, self.args)

    def _closed(self, operator: Operator, evaluate: Callable[..., np.ndarray]) -> np.ndarray | None:
        """The terms of the operator by a closed form, evaluated; None where the problem has none for it."""
        problem = self.problem
        is_own = self.weight is not None and operator.weight is self.weight
        asked = replace(operator, weight=OWN) if is_own else operator
        form = {parse_operator(spec): form for spec, form in problem.closed.items()}.get(asked)
        weight = _diagonal_of(operator.weight)
        by_entries = form is None and operator.order < 4 and weight is not None
        form = problem.diagonal if by_entries else form
        if form is None:
            return None
        known = dict(self.parameters)
        if is_own and not by_entries and isinstance(self.weight, Tensor):
            known["A"] = self.weight
        terms = evaluate(form, self.x, self.args, known)
        if by_entries:
            S = operator.coordinates
            terms = (terms * weight) if S is None else (terms * weight)[..., list(S)]
        return terms


def _by_numpy(
    form: Callable[..., np.ndarray], x: Tensor, args: tuple[Any, ...], known: Mapping[str, Tensor]
) -> np.ndarray:
    """A closed form in numpy.longdouble, as `elsewhere.evaluated`."""
    args = tuple(wide(one) if isinstance(one, Tensor) else one for one in args)
    return form(wide(x), *args, **{name: wide(value) for name, value in known.items()})


def _diagonal_of(weight: Any) -> np.ndarray | None:
    """A diagonal weight, (n,), or one for the identity; None for any other, of which entries J_ii say too little."""
    if weight is None:
        return np.ones(1, np.longdouble)
    if isinstance(weight, tuple):
        return np.array(weight, np.longdouble)
    return wide(weight) if isinstance(weight, Tensor) and weight.dim() == 1 else None
