"""tr(A J) and tr(A H) as plain operators, by changes of variables around f.

A constant A of rank r is a sum of r products, and costs r coordinates in place of n:

    tr(U V^T J) = tr(V^T J U), the divergence at z = 0 of z -> V^T f(x + U z)
    tr(s s^T H) = tr(s^T H s), the Laplacian at z = 0 of z -> u(x + s z)

An indefinite A is s s^T - t t^T: the Laplacian of z, y -> u(x + s z) - u(x + t y). Of H the symmetric part of A counts
alone. What changes from point to point, or is differentiated itself, is factorised for `taylor` and its like alone:
tr(A J) is the divergence of A f, A held, and tr(A H) that of A grad u.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from jacstrat.core.errors import ShapeError, UnsupportedError, UsageError
from jacstrat.core.operator import OPERATORS, Operator, is_array
from jacstrat.strategies.points import outside_transforms
from jacstrat.strategies.products import functional_gradient
from jacstrat.trace.arguments import Args, Function

# Of the norm of a matrix, in units of its rounding: smaller singular values are those of the rounding of its entries,
# which is off by half a unit of it together.
RANK_EPS = 4


class WeightFactors(NamedTuple):
    """Constants of a weight.

    Fields:
        left, right: U and V of U V^T, (n, r), or s and t of s s^T - t t^T, t perhaps without columns.
    """

    left: Tensor
    right: Tensor


def weighing(
    operator: Operator, x: Tensor, S: tuple[int, ...] | None, n: int, needs_scalar: bool
) -> tuple[Operator, Any]:
    """The plain operator that a weighted one is reduced to, and the stage that does it.

    Args:
        operator: With a weight, over all coordinates of x.
        x: Points.
        S: Coordinates that x has of those that the weight was given for, n in all; None for all.
        needs_scalar: No field of the gradient will do.

    Raises:
        ShapeError: The weight has a shape that fits no points like x; names the shapes.
    """
    plain, second = operator.plain, operator.is_second
    weight = operator.weight
    if isinstance(weight, str):
        raise UsageError(f"weight={weight} is that of a problem, and there is none here; give a tensor or a function")
    if callable(weight) and not is_array(weight):
        return _by_rows(plain, weight, S, needs_scalar)
    # Where the caller has it, since there it has numbers, whatever x has.
    with outside_transforms():
        A = torch.as_tensor(weight)
        A = A if A.is_floating_point() else A.to(x.dtype)
    B = len(x) if x.dim() == 2 else None
    if A.shape not in ((n,), (n, n)) and (B is None or A.shape not in ((B, n), (B, n, n))):
        rows = "" if B is None else f", ({B}, {n}) or ({B}, {n}, {n})"
        raise ShapeError(
            f"weight must have shape ({n},), ({n}, {n}){rows} for x of shape {(n,) if B is None else (B, n)}, "
            f"got {tuple(A.shape)}"
        )
    is_wrapped = torch._C._functorch.is_functorch_wrapped_tensor(A)  # it is differentiated, or one of several
    if A.shape not in ((n,), (n, n)) or A.requires_grad or A.is_meta or is_wrapped:
        return _by_rows(plain, weight, S, needs_scalar)
    with outside_transforms():
        return plain, _constant(_block(A, S, A.dim() == 1), weight, S, x, second)


def _constant(A: Tensor, weight: Any, S: tuple[int, ...] | None, x: Tensor, second: bool) -> _Stage:
    """The stage of a weight that is the same for all points, A of the coordinates S of it."""
    constant = weight, WeightNumbers.of(weight)
    if second:
        return _Along(*constant, *_definite(torch.diag(A) if A.dim() == 1 else A, weight, S, x))
    if A.dim() == 1:
        return _Scaled(*constant, _near(A, x))
    low = _low_rank(A, weight, S, x)
    return _Mixed(*constant, _near(A, x)) if low is None else _Between(*constant, *low)


def _near(A: Tensor, x: Tensor) -> Tensor:
    return A.to(dtype=x.dtype, device=x.device)


def _block(A: Tensor, S: tuple[int, ...] | None, is_diagonal: bool) -> Tensor:
    """A of the coordinates S alone."""
    if S is None:
        return A
    places = torch.tensor(S, device=A.device)
    A = A.index_select(-1, places)
    return A if is_diagonal else A.index_select(-2, places)


class WeightNumbers(NamedTuple):
    """The numbers of a weight at one time.

    On the host they are compared, so that what is written past the version (`.data`, numpy) is seen, too. To read them
    on a device would wait for it at each call, and cannot be in a graph: there the version and the place tell.
    """

    host: Tensor | None
    version: int
    place: int

    @classmethod
    def of(cls, weight: Any) -> WeightNumbers:
        """Those that it has now."""
        now = torch.as_tensor(weight).detach()
        return cls(now.clone() if now.is_cpu else None, *_written(now))

    def are_those_of(self, weight: Any) -> bool:
        """Whether it has them still."""
        now = torch.as_tensor(weight)
        if self.host is None:
            return (self.version, self.place) == _written(now)
        with outside_transforms():
            return now.shape == self.host.shape and torch.equal(now, self.host)


def _written(tensor: Tensor) -> tuple[int, int]:
    return 0 if tensor.is_inference() else tensor._version, tensor.data_ptr()


# What was made of a weight, by the tensor that the caller has: found again, it is the same constant of f to a trace.
_MADE: Any = WeakIdKeyDictionary()


def _kept(weight: Any, kind: tuple[Any, ...], make: Callable[[], WeightFactors | None]) -> WeightFactors | None:
    if not isinstance(weight, Tensor):
        return make()
    made = _MADE.setdefault(weight, {})
    numbers, found = made.get(kind, (None, None))
    if numbers is None or not numbers.are_those_of(weight):
        found = make()
        made[kind] = WeightNumbers.of(weight), found
    return found


def _low_rank(A: Tensor, weight: Any, S: tuple[int, ...] | None, x: Tensor) -> WeightFactors | None:
    """U and V of fewer columns than A; None where it has none."""

    def make() -> WeightFactors | None:
        with torch.no_grad():
            U, s, Vh = torch.linalg.svd(A.detach().double().cpu(), full_matrices=False)
            r = max(int((s > _least(s, A.dtype)).sum()), 1)
            if r == len(A):
                return None
            return WeightFactors(_near(U[:, :r] * s[:r], x), _near(Vh[:r].mT, x))

    return _kept(weight, ("low", x.dtype, x.device, S), make)


def _definite(A: Tensor, weight: Any, S: tuple[int, ...] | None, x: Tensor) -> WeightFactors:
    """s and t of the symmetric part of A."""

    def make() -> WeightFactors:
        with torch.no_grad():
            value, Q = torch.linalg.eigh((A + A.mT).detach().double().cpu() / 2)
            least = _least(value.abs(), A.dtype)
            roots = Q * value.abs().sqrt()
            plus, minus = (_near(roots[:, sign * value > least], x) for sign in (1, -1))
            if not plus.shape[1] and not minus.shape[1]:
                plus = _near(0 * Q[:, :1], x)
            return WeightFactors(plus, minus)

    found = _kept(weight, ("definite", x.dtype, x.device, S), make)
    assert found is not None
    return found


def _least(sizes: Tensor, dtype: torch.dtype) -> Tensor:
    """Singular values, or sizes of eigenvalues, (..., n), that are none, of numbers in this dtype.

    Half precision is too coarse to tell rounding from a small eigenvalue, and is taken for single.
    """
    eps = torch.finfo(dtype if dtype in (torch.float32, torch.float64) else torch.float32).eps
    return RANK_EPS * eps * sizes.norm(dim=-1).max()


@dataclass(frozen=True, eq=False)
class _Stage:
    """A stage that a constant weight gives; it leaves the points and the result as they are."""

    weight: Any
    numbers: WeightNumbers

    @property
    def is_stale(self) -> bool:
        """Whether the weight has other numbers than when this was made."""
        return not self.numbers.are_those_of(self.weight)

    def points(self, x: Tensor, args: Args) -> tuple[Tensor, Args]:
        return x, args

    def result(self, result: Tensor) -> Tensor:
        return result


@dataclass(frozen=True, eq=False)
class _Scaled(_Stage):
    """d * f."""

    d: Tensor

    def function(self, f: Function) -> Function:
        d = self.d
        return lambda x, *args: f(x, *args) * d


@dataclass(frozen=True, eq=False)
class _Mixed(_Stage):
    """A f."""

    A: Tensor

    def function(self, f: Function) -> Function:
        A = self.A
        return lambda x, *args: f(x, *args) @ A.mT


@dataclass(frozen=True, eq=False)
class _Between(_Stage):
    """z -> V^T f(x + U z), at z = 0."""

    U: Tensor
    V: Tensor

    def function(self, f: Function) -> Function:
        U, V = self.U, self.V
        return lambda z, x, *args: f(x + z @ U.mT, *args) @ V

    def points(self, x: Tensor, args: Args) -> tuple[Tensor, Args]:
        return x.new_zeros(*x.shape[:-1], self.U.shape[1]), (x, *args)


@dataclass(frozen=True, eq=False)
class _Along(_Stage):
    """z -> u(x + s z), at z = 0; with t, (z, y) -> u(x + s z) - u(x + t y)."""

    s: Tensor
    t: Tensor

    def function(self, f: Function) -> Function:
        s, t = self.s, self.t
        r = s.shape[1]
        if t.shape[1] == 0:
            return lambda z, x, *args: f(x + z @ s.mT, *args)
        if r == 0:
            return lambda z, x, *args: -f(x + z @ t.mT, *args)
        return lambda z, x, *args: f(x + z[..., :r] @ s.mT, *args) - f(x + z[..., r:] @ t.mT, *args)

    def points(self, x: Tensor, args: Args) -> tuple[Tensor, Args]:
        r = self.s.shape[1] + self.t.shape[1]
        return x.new_zeros(*x.shape[:-1], r), (x, *args)


def _by_rows(plain: Operator, weight: Any, S: tuple[int, ...] | None, needs_scalar: bool) -> tuple[Operator, Any]:
    """A weight of its own at each point: of a Hessian by the divergence of A grad u."""
    if not plain.is_second:
        return plain, _OfRows(weight, S, is_gradient=False)
    if needs_scalar:
        return plain, _AlongRows(weight, S)
    return OPERATORS["divergence"], _OfRows(weight, S, is_gradient=True)


@dataclass(frozen=True, eq=False)
class _Rows:
    """A weight of its own at each point, which is found for all of them before they are taken in parts."""

    weight: Any
    S: tuple[int, ...] | None

    def at(self, x: Tensor, args: Args) -> Tensor:
        """A at each point: (B, n) or (B, n, n)."""
        # Behind coordinates the weight is of the whole point, which is the first further argument.
        point, *rest = (x, *args) if self.S is None else args
        lead, n = tuple(point.shape[:-1]), point.shape[-1]
        A = self.weight(point, *rest) if callable(self.weight) and not is_array(self.weight) else self.weight
        if not is_array(self.weight) and (not is_array(A) or tuple(A.shape) not in ((*lead, n), (*lead, n, n))):
            found = tuple(A.shape) if is_array(A) else type(A).__name__
            raise ShapeError(
                f"the weight must give {(*lead, n)} or {(*lead, n, n)} for x of shape {tuple(point.shape)}, got {found}"
            )
        A = _near(torch.as_tensor(A), x)
        is_constant = is_array(self.weight) and tuple(A.shape) in ((n,), (n, n))
        is_diagonal = A.dim() == (1 if is_constant else len(lead) + 1)
        A = _block(A, self.S, is_diagonal)
        return A.expand(*lead, *A.shape[-1 if is_diagonal else -2 :])

    def result(self, result: Tensor) -> Tensor:
        return result


@dataclass(frozen=True, eq=False)
class _AlongRows(_Rows):
    """z -> u(x + s z), or (z, y) -> u(x + s z) - u(x + t y), with s and t of each point: two halves where A has any."""

    def function(self, f: Function) -> Function:
        def along(z: Tensor, x: Tensor, s: Tensor, t: Tensor, *args: Any) -> Tensor:
            n = x.shape[-1]
            found = f(x + _applied(s, z[..., :n]), *args)
            return found if z.shape[-1] == n else found - f(x + _applied(t, z[..., n:]), *args)

        return along

    def points(self, x: Tensor, args: Args) -> tuple[Tensor, Args]:
        A = self.at(x, args)
        if torch.is_grad_enabled() and A.requires_grad:
            raise UnsupportedError("a weight that is differentiated is not factorised; use jvp")
        is_diagonal = A.dim() == x.dim()
        value, Q = (A, None) if is_diagonal else torch.linalg.eigh((A + A.mT) / 2)
        roots = [(sign * value).clamp_min(0).sqrt() for sign in (1, -1)]
        s, t = roots if Q is None else [Q * root.unsqueeze(-2) for root in roots]
        is_definite = A.is_meta or not bool((value < -_least(value.abs(), A.dtype)).any())
        return x.new_zeros(*x.shape[:-1], (1 if is_definite else 2) * x.shape[-1]), (x, s, t, *args)


def _applied(s: Tensor, z: Tensor) -> Tensor:
    return s * z if s.dim() == z.dim() else (s @ z.unsqueeze(-1)).squeeze(-1)


@dataclass(frozen=True, eq=False)
class _OfRows(_Rows):
    """A f, or A grad u, A held."""

    is_gradient: bool

    def function(self, f: Function) -> Function:
        field = functional_gradient(f) if self.is_gradient else f

        def weighed(x: Tensor, A: Tensor, *args: Any) -> Tensor:
            y = field(x, *args)
            return _applied(A, y)

        return weighed

    def points(self, x: Tensor, args: Args) -> tuple[Tensor, Args]:
        return x, (self.at(x, args), *args)
