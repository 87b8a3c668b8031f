"""An operator as a value: what is contracted of which derivative, over which coordinates, with which weight."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from math import isfinite
from operator import index
from types import MappingProxyType
from typing import Any, Literal

from jacstrat.core.errors import ShapeError, UsageError, lookup

FunctionKind = Literal["field", "scalar"]
Reduce = Literal["trace", "diagonal"]
# A in tr(A J): numbers of a diagonal, a tensor (n,), (n, n), (B, n) or (B, n, n), or a function of the point, called as
# f is, that gives one of these. "own" is the one that a problem names.
Weight = Any
OWN = "own"


@dataclass(frozen=True, eq=False)
class Operator:
    """A linear differential operator of a row-wise function: the trace, or the diagonal, of one of its derivatives.

    Fields:
        name: As in OPERATORS.
        kind: What f is: "field", (B, n) -> (B, n), or "scalar", (B, n) -> (B,), or (B, m), each output by itself.
        order: Of the derivative: 1 for the Jacobian J, 2 for the Hessian H, 4 for the Laplacian of the Laplacian.
        reduce: "trace" or "diagonal".
        coordinates: Which the trace runs over, or the diagonal has, as in space and not time; None for all.
        weight: A in tr(A J) or tr(A H), which need be neither symmetric nor definite; None for the identity.

    Two are equal where these are, a weight that is a tensor or a function by identity.
    """

    name: str
    kind: FunctionKind
    order: Literal[1, 2, 4]
    reduce: Reduce
    coordinates: tuple[int, ...] | None = None
    weight: Weight = None

    def __post_init__(self) -> None:
        for name, known in _KNOWN.items():
            if (value := getattr(self, name)) not in known:
                raise UsageError(f"{name} of an operator is one of {', '.join(map(str, known))}, got {value!r}")
        if self.coordinates is not None:
            object.__setattr__(self, "coordinates", _coordinates(self.coordinates))
        if self.weight is None:
            return
        if isinstance(self.weight, list | tuple):
            object.__setattr__(self, "weight", _numbers(self.weight))
        elif not (
            self.weight == OWN if isinstance(self.weight, str) else _has_axes(self.weight) or callable(self.weight)
        ):
            raise UsageError(
                "weight must be a tensor (n,), (n, n), (B, n) or (B, n, n), or a function of the point that gives one, "
                f"got {self.weight!r}"
            )
        if self.reduce == "diagonal":
            raise UsageError(f"{self.name} takes no weight: multiply what it gives, or take a trace")
        if self.order == 4:
            raise UsageError(f"{self.name} takes no weight: apply laplacian with a weight twice")

    @property
    def _key(self) -> tuple[object, ...]:
        weight = self.weight if self.weight is None or isinstance(self.weight, str | tuple) else id(self.weight)
        return (self.name, self.coordinates, weight)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Operator) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __str__(self) -> str:
        return self.spec

    @property
    def spec(self) -> str:
        """The name with what was given beside it; `parse_operator` reads it back, but for a tensor or a function."""
        parts = []
        if self.coordinates is not None:
            parts.append(f"coordinates={'+'.join(map(str, self.coordinates))}")
        if isinstance(self.weight, tuple):
            parts.append(f"weight={'+'.join(map(_digits, self.weight))}")
        elif self.weight is not None:
            parts.append(f"weight={self.weight if isinstance(self.weight, str) else 'given'}")
        return self.name + (":" + ",".join(parts) if parts else "")

    @property
    def plain(self) -> Operator:
        """The same over all coordinates, without a weight."""
        return self if self.is_plain else replace(self, coordinates=None, weight=None)

    @property
    def is_plain(self) -> bool:
        """Whether it runs over all coordinates and has no weight."""
        return self.coordinates is None and self.weight is None

    @property
    def is_trace(self) -> bool:
        """Whether it is a sum over coordinates: one number a point, and not n."""
        return self.reduce == "trace"

    @property
    def is_second(self) -> bool:
        """Whether it is of the Hessian: the divergence, or the diagonal, of the gradient."""
        return self.order == 2

    def field(self, f: Any, gradient: Callable[[Any], Any]) -> Any:
        """The field whose Jacobian is contracted: f, or for the Hessian of a scalar f what `gradient` makes of it."""
        return gradient(f) if self.is_second else f

    def reduced(self, diagonal: Any) -> Any:
        """Its result from the diagonal, (..., n)."""
        return diagonal if self.reduce == "diagonal" else diagonal.sum(-1)

    def expected(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of f(x) for x of this shape; a scalar may have one axis of outputs behind it."""
        return tuple(shape[:-1] if self.kind == "scalar" else shape)

    def check_result(self, y: Any, shape: tuple[int, ...]) -> None:
        """Refuse what no f(x) is, for x of this shape.

        Raises:
            ShapeError: f(x) is no tensor, or has a shape that does not fit; names the shapes and the likely cause.
            UsageError: Its numbers are neither real nor complex ones; names their type.
        """
        dtype = getattr(y, "dtype", None)
        if dtype is None or not hasattr(dtype, "is_floating_point"):  # as numpy's have none
            remedy = _REMEDIES.get(type(y).__name__, "return its one output")
            raise ShapeError(f"the {self.kind} must return one tensor, got {type(y).__name__}; {remedy}")
        if not (dtype.is_floating_point or dtype.is_complex):
            name = str(dtype).removeprefix("torch.")
            raise UsageError(f"f(x) is {name}, which has no derivative; return floating-point numbers")
        expected, actual = self.expected(shape), tuple(y.shape)
        if actual == expected:
            return
        is_scalar = self.kind == "scalar"
        is_by_rows = len(actual) == len(shape) and actual[:-1] == tuple(shape[:-1])
        if is_by_rows and (is_scalar or self._has_outputs(actual[-1])):
            return
        remedy = ""
        if len(shape) == 2 and actual == (() if is_scalar else tuple(shape[-1:])):
            remedy = "; if f takes one point and not a batch, give torch.func.vmap(f)"
        elif not is_scalar and (actual == tuple(shape[:-1]) or (self.is_plain and is_by_rows and actual[-1] == 1)):
            remedy = "; of a scalar take the laplacian"
        elif is_by_rows and self.coordinates is not None:
            remedy = f"; it needs an output for each of the coordinates {'+'.join(map(str, self.coordinates))}"
        raise ShapeError(f"the {self.kind} must map {tuple(shape)} to {expected}, got {actual}{remedy}")

    def _has_outputs(self, outputs: int) -> bool:
        """Whether a field of so many outputs has one for each of the coordinates: by its number, or in their order."""
        S = self.coordinates
        return S is not None and (outputs > max(S) or outputs == len(S))

    def check_coordinates(self, n: int) -> None:
        """Refuse coordinates that points with n of them do not have.

        Raises:
            UsageError: One is out of range, or there twice; names it.
        """
        for i in self.coordinates or ():
            if i >= n:
                raise UsageError(f"coordinates: {i} is out of range for n = {n}; the last one is {n - 1}")


_KNOWN: Mapping[str, tuple[object, ...]] = MappingProxyType(
    {"kind": ("field", "scalar"), "order": (1, 2, 4), "reduce": ("trace", "diagonal")}
)

# By the type of what f returns in place of a tensor.
_REMEDIES: Mapping[str, str] = MappingProxyType(
    {
        "NoneType": "does it end with return?",
        "ndarray": "write it with torch's functions, which have derivatives",
        "float": "return a tensor, without .item()",
        "int": "return a tensor, without .item()",
    }
)


def is_array(value: object) -> bool:
    """Whether a value has numbers in a shape, as a tensor has."""
    return hasattr(value, "shape") and hasattr(value, "dtype")


def is_weight_function(weight: object) -> bool:
    """Whether a weight is one of each point that is asked for it; a layer is, and no tensor that can be called."""
    return callable(weight) and not is_array(weight)


def _has_axes(value: object) -> bool:
    """Whether it is an array and no number of numpy's, which has the shape of nothing that fits."""
    return is_array(value) and len(value.shape) > 0  # type: ignore[attr-defined]


def _digits(number: float) -> str:
    """A number with all its digits, and without the plus that joins it with others."""
    return repr(number).removesuffix(".0").replace("e+", "e")


def _coordinates(coordinates: Any) -> tuple[int, ...]:
    # A tensor without axes says that it can be iterated over, and cannot.
    is_several = isinstance(coordinates, Iterable) and getattr(coordinates, "ndim", 1) > 0
    given = tuple(coordinates) if is_several else (coordinates,)
    numbers = tuple(map(_place, given))
    if twice := [i for i in numbers if numbers.count(i) > 1]:
        raise UsageError(f"coordinates: {twice[0]} is given twice; name each once")
    if not numbers:
        raise UsageError("coordinates must name at least one; leave them out for all")
    return numbers


def _place(i: Any) -> int:
    try:
        number = index(i)
    except TypeError:
        number = -1
    if isinstance(i, bool) or str(getattr(i, "dtype", "")) in ("bool", "torch.bool"):
        raise UsageError(f"coordinates must be whole numbers from 0, got {i!r}; of a mask give mask.nonzero()")
    if number < 0:
        raise UsageError(f"coordinates must be whole numbers from 0, got {i!r}")
    return number


def _numbers(numbers: Any) -> tuple[float, ...]:
    if not all(isinstance(one, int | float) and not isinstance(one, bool) for one in numbers) or not numbers:
        raise UsageError(
            f"weight: a list must be the numbers of a diagonal, got {numbers!r}; give a tensor for a matrix"
        )
    if not all(map(isfinite, numbers)):
        raise UsageError(f"weight must have finite numbers, and has inf or nan: {numbers!r}")
    return tuple(map(float, numbers))


OPERATORS: Mapping[str, Operator] = MappingProxyType(
    {
        one.name: one
        for one in (
            Operator("divergence", "field", 1, "trace"),
            Operator("jacobian_diagonal", "field", 1, "diagonal"),
            Operator("laplacian", "scalar", 2, "trace"),
            Operator("hessian_diagonal", "scalar", 2, "diagonal"),
            Operator("bilaplacian", "scalar", 4, "trace"),
        )
    }
)
"""The operators by name, over all coordinates and without a weight: a read-only mapping."""


def parse_operator(spec: str | Operator) -> Operator:
    """The operator that a spec such as "laplacian:coordinates=0+1" names; an operator is returned as it is.

    Raises:
        UsageError: An unknown name or field, with the nearest ones, or a value that it cannot have.
    """
    if isinstance(spec, Operator):
        return spec
    name, colon, text = str(spec).partition(":")
    operator = lookup("operator", name.strip(), OPERATORS)
    values: dict[str, Any] = {}
    for item in text.split(",") if colon else ():
        key, equals, value = (part.strip() for part in item.partition("="))
        if not (key and equals and value):
            raise UsageError(f"{spec!r}: expected key=value after the colon, got {item!r}")
        read = lookup(f"field of {operator.name}", key, _READERS)
        if key in values:
            raise UsageError(f"{spec!r}: {key} is given twice")
        try:
            values[key] = read(value)
        except ValueError:
            raise UsageError(
                f"{spec!r}: {key} must be numbers joined by +, as {_EXAMPLES[key]}, got {value!r}"
            ) from None
    return replace(operator, **values) if values else operator


# What joins numbers, and not the sign of an exponent.
_PLUS = re.compile(r"(?<![0-9.][eE])\+")
_READERS: Mapping[str, Callable[[str], Any]] = {
    "coordinates": lambda text: tuple(int(part) for part in text.split("+")),
    "weight": lambda text: OWN if text == OWN else tuple(map(float, _PLUS.split(text))),
}
_EXAMPLES = {"coordinates": "coordinates=0+1", "weight": "weight=1+0.5+2, or weight=own for that of the problem"}
