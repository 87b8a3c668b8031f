"""What a strategy is: a frozen value that prepares an operator for a function, and says so when it cannot."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from operator import attrgetter
from typing import TYPE_CHECKING, ClassVar, final

import torch
from torch import Tensor

from jacstrat.core.errors import MissingError, UnsupportedError, UsageError
from jacstrat.core.operator import OPERATORS, Operator, parse_operator
from jacstrat.strategies.checked import plain_attention
from jacstrat.strategies.contraction import (
    Contraction,
    Together,
    alike,
    contraction_of,
    of_outputs,
)
from jacstrat.strategies.copies import Copies, output
from jacstrat.strategies.direct import called
from jacstrat.strategies.error_hints import hinted
from jacstrat.strategies.gaps import Transform
from jacstrat.strategies.points import (
    beside_the_result,
    check_args,
    check_event_dim,
    check_function,
    check_generator,
    check_points,
    usable,
)
from jacstrat.strategies.prepared import Prepared
from jacstrat.strategies.reduction import OutputForm, outputs_of, reduction
from jacstrat.trace.arguments import Args, Function

if TYPE_CHECKING:
    from jacstrat.strategies.auto.candidates import Candidate, Evidence

__all__ = ["Args", "Function", "Strategy"]


@dataclass(frozen=True)
class Strategy(ABC):
    """A way to contract the Jacobian. Its fields are its parameters; equal fields mean equal strategies.

    A concrete strategy is final: it names itself, says what it costs and when it is exact, and implements `build`.
    """

    name: ClassVar[str]
    cost: ClassVar[str]
    exact_when: ClassVar[str]
    # Preparing takes seconds of a compiler: it is measured where somebody asks for it, and not where nobody names any.
    compiles: ClassVar[bool] = False
    # It captures its work in a graph of a device: where there is none it serves nothing.
    captures: ClassVar[bool] = False
    # A call of it neither waits for a device nor needs the host, as far as its own doing goes: it can be captured.
    capturable: ClassVar[bool] = True
    # It is a sum of products of plain reverse mode and claims no more.
    is_plain: ClassVar[bool] = False
    # It records f at each shape of x.
    records: ClassVar[bool] = False
    # It serves scalars of m outputs, (B, n) -> (B, m), by itself; else each output is one of its own.
    takes_outputs: ClassVar[bool] = False
    # It serves the bilaplacian by itself, or refuses it; else it is the Laplacian of a Laplacian.
    takes_fourth_order: ClassVar[bool] = False
    # Its calls are made in a process of its own, which takes their time: nobody here counts or captures them.
    is_remote: ClassVar[bool] = False

    @property
    @final
    def spec(self) -> str:
        """The name with the parameters that differ from their defaults; `parse_strategy` reads it back.

        A strategy that works by another one has that in parentheses behind the name: compiled(vmap:chunk_size=8).
        """
        within = inner_name(type(self))
        values = {p.name: getattr(self, p.name) for p in fields(self) if p.name != within}
        changed = [
            f"{p.name}={_text(values[p.name])}" for p in fields(self) if values.get(p.name, p.default) != p.default
        ]
        inner = f"({getattr(self, within).spec})" if within else ""
        return self.name + inner + (":" + ",".join(changed) if changed else "")

    @property
    def stochastic(self) -> bool:
        """Whether it draws random probes, and is judged by the standard error that it claims."""
        return False

    @property
    def draws_first(self) -> bool:
        """Whether probes are drawn when it is prepared, so that another call needs another preparation."""
        return False

    @property
    def counted(self) -> Strategy:
        """The strategy whose operations are counted for this one: itself, unless they are out of torch's sight."""
        return self

    @property
    def starts_compiler(self) -> bool:
        """Whether preparing it starts a compiler, of its own or of a strategy that it works by."""
        return self.compiles

    @property
    def missing(self) -> str | None:
        """What it needs that is not installed here, with the command that installs it; None where it can be tried."""
        return None

    @property
    def software(self) -> Mapping[str, str]:
        """Versions of what computes it besides this process's own, by name; none unless another process does."""
        return {}

    def start(self, device: torch.device) -> None:  # noqa: B027 - most have nothing to do
        """What takes time once a process and is no part of preparing: nothing, unless it works by another process."""

    @property
    def transforms(self) -> frozenset[Transform]:
        """What it rests on, by which torch may have an operation wrong; see `gaps`."""
        product: Transform = "forward" if getattr(self, "product", "") == "forward" else "reverse"
        return frozenset(("rules", "func", product))

    @property
    def claimed_rate(self) -> float | None:
        """The least share of draws in which the truth is to lie within one standard error; None: it claims none."""
        return None

    def __str__(self) -> str:
        return self.spec

    def refuse(self, operator: Operator) -> str | None:
        """Why this strategy cannot serve the operator, whatever the function; None where it can."""
        return None

    @abstractmethod
    def build(
        self, operator: Operator, f: Function, x: Tensor, args: Args, generator: torch.Generator | None
    ) -> Function | Contraction:
        """The untimed set-up: a callable (x, *args) -> result.

        Args:
            operator: Of all coordinates, without a weight, of first or second order.
            f: Its shapes are checked; called as f(x, *args).
            x: Valid points.
            args: Of the tensors among them, those that are as long as x has rows go with the rows.
            generator: Source of random probes.
        """

    @final
    def contracted(
        self, operator: Operator, f: Function, x: Tensor, args: Args, generator: torch.Generator | None
    ) -> Contraction:
        """What `build` gives for plain operators of any order, and for scalars of several outputs."""
        if operator.order == 4 and not self.takes_fourth_order:
            twice = OPERATORS["laplacian"]
            inner = self.nested.contracted(twice, f, x, args, generator).evaluate
            return replace(self.contracted(twice, alike(inner, f), x, args, generator), passes=None)
        outputs = None if self.takes_outputs else outputs_of(f)
        if outputs is None:
            return contraction_of(self.build(operator, f, x, args, generator))
        copies = Copies.of(outputs, x)
        built = self.build(operator, copies.function(f, output), *copies.points(x, args), generator)
        return of_outputs(contraction_of(built), copies, operator)

    @classmethod
    def candidates(cls, evidence: Evidence) -> Iterable[Candidate]:
        """The forms in which it would serve an operator exactly, for `auto` to choose among; none unless it says so.

        Args:
            evidence: What is known of the function, and of the operator, which `refuse` of the form need not be asked.
        """
        return ()

    @property
    def unrecorded(self) -> tuple[Strategy, ...]:
        """What may serve in its place where a recording would serve one call, the best first; () where nothing may."""
        return ()

    @property
    def nested(self) -> Strategy:
        """The strategy whose Laplacian this one takes the Laplacian of."""
        return self

    @final
    def prepare(
        self,
        operator: str | Operator,
        f: Function,
        x: Tensor,
        generator: torch.Generator | None = None,
        args: Args = (),
        event_dim: int = 1,
    ) -> Prepared:
        """Set up the operator for f once; the callable then serves every x, and args, like the given ones.

        Args:
            operator: An Operator, or its spec: "divergence" or "jacobian_diagonal" of a field, "laplacian",
                "hessian_diagonal" or "bilaplacian" of a scalar.
            f: Row-wise field, (B, n) -> (B, n), or scalar, (B, n) -> (B,) or (B, m); called as f(x, *args).
            x: A point (n,) or points (B, n); its values serve tracing and compilation only.
            generator: Source of random probes; only stochastic strategies draw.
            args: Further arguments of f. A tensor that is as long as x has rows goes with the rows.
            event_dim: Axes of a point, where these are more than one.

        Returns:
            A callable (x, *args) -> (B,) or (B, m), or for a diagonal (B, n); without B for a single point.

        Raises:
            UnsupportedError: The strategy cannot serve this operator or function; says why.
            MissingError: It needs what is not installed here; has the command that installs it.
            ShapeError: x or f(x) has a shape that does not fit; names the shapes.
            UsageError: No such operator, or x is not floating-point.
        """
        operator = parse_operator(operator)
        prepared, points, _ = self._prepared(operator, f, x, args, event_dim, generator)
        prepared.confirm(*points)
        return prepared

    def apply(
        self,
        operator: str | Operator,
        f: Function,
        x: Tensor,
        generator: torch.Generator | None = None,
        args: Args = (),
        event_dim: int = 1,
    ) -> Tensor:
        """The result at x, for a caller that keeps no prepared operator, such as `divergence` in a training step.

        What was held against a witness for f before, or for a function of the same code, is not again.
        """
        return called(self, _result, operator, f, x, generator, args, event_dim)

    def together(
        self,
        operator: str | Operator,
        f: Function,
        x: Tensor,
        generator: torch.Generator | None = None,
        args: Args = (),
        event_dim: int = 1,
    ) -> Together:
        """The result at x with f(x) and the gradient of a scalar, each found once."""
        return called(self, _together, operator, f, x, generator, args, event_dim)

    def _prepared(
        self,
        operator: Operator,
        f: Function,
        x: Tensor,
        args: Args,
        event_dim: int,
        generator: torch.Generator | None,
        form: OutputForm | None = None,
    ) -> tuple[Prepared, tuple[Tensor, Args], OutputForm]:
        """The prepared operator, the points and arguments that it works on, and what f(x) is like."""
        if (missing := self.missing) is not None:
            raise MissingError(missing)
        if (reason := self.refuse(operator)) is not None:
            raise UnsupportedError(f"{self.spec} cannot serve the {operator.name}: {reason}")
        check_function(f)
        check_args(args)
        check_event_dim(event_dim)
        check_generator(generator)
        if event_dim == 1:
            check_points(x, may_have_axes=True)
        points = usable(x)
        needs_scalar = self.refuse(OPERATORS["divergence"]) is not None
        with beside_the_result(), hinted(self, f, points, args), plain_attention():
            reduced, form = reduction(operator, f, points, args, event_dim, needs_scalar, form)
            z, z_args = reduced.points(points, args)
            contraction = self.contracted(reduced.operator, reduced.function, z, z_args, generator)

        def again(x: Tensor, args: Args) -> Prepared:
            return self.prepare(operator, f, x, generator, args, event_dim)

        prepared = Prepared(self, reduced, f, points, args, event_dim, contraction, again)
        return prepared, (points, args), form


_result = attrgetter("result_at")
_together = attrgetter("together_at")


def inner_name(kind: type[Strategy]) -> str | None:
    """The parameter that is another strategy, which a spec has in parentheses; None where there is none."""
    return next((p.name for p in fields(kind) if isinstance(p.default, Strategy)), None)


def form(kind: type[Strategy]) -> str:
    """How a strategy is asked for: its name, with "(SPEC)" behind it where it works by another strategy."""
    return f"{kind.name}(SPEC)" if inner_name(kind) else kind.name


def _text(value: object) -> str:
    """A parameter as a spec has it: true and false in small letters."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def positive_or_all(name: str, value: object) -> None:
    """Refuse a parameter that is neither a positive integer nor "all"."""
    if value != "all" and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise UsageError(f"{name} must be a positive integer or all, got {value!r}; leave it out for the default")
