"""What a strategy is: a frozen value that prepares an operator for a function, and says so when it cannot."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from dataclasses import dataclass, fields
from typing import ClassVar, Literal, NamedTuple, final, get_args

import torch
from torch import Tensor

from jacstrat.errors import UnsupportedError, UsageError, unknown
from jacstrat.strategies.checked import checked, plain_attention
from jacstrat.strategies.gaps import Transform
from jacstrat.strategies.points import check_points, outside_inference_mode, usable
from jacstrat.strategies.prepared import Prepared
from jacstrat.strategies.recall import Recall
from jacstrat.strategies.told import telling

Operator = Literal["divergence", "laplacian", "jacobian_diagonal"]
OPERATORS: tuple[Operator, ...] = get_args(Operator)
Function = Callable[[Tensor], Tensor]


class Estimate(NamedTuple):
    """A result, and how far off its strategy believes it to be.

    Fields:
        value: The operator's result, in its shape.
        std_error: The standard error of each number of `value`, in its shape; None where the strategy claims none,
            since it is exact or has too few probes to tell.
    """

    value: Tensor
    std_error: Tensor | None = None


class Passes(NamedTuple):
    """Passes through f in one call, per point, where f is not called but taken apart, so that nobody sees them.

    Fields:
        f_evaluations, vjp_products, jvp_products: As the columns of a record.
    """

    f_evaluations: int
    vjp_products: int
    jvp_products: int


@dataclass(frozen=True, eq=False)
class Contraction:
    """What `build` gives where there is more to it than a callable x -> result.

    Fields:
        evaluate: x -> result.
        estimate: x -> Estimate, for a strategy with a standard error.
        chosen: The strategy that `evaluate` is, where the one asked for chooses among others.
        reason: Why it was chosen, or on what ground it is right, in one line.
        passes: What a call does, where f itself is not called.
        parts: Parts of x that `evaluate` does one after the other, with nothing in common: a program of one serves all.
        entries: (x, coordinates (K,)) -> these entries of the diagonal, (..., K), by the strategy's own products: what
            a few coordinates show of it.
        along: (x, directions (K, n)) -> sum_k v_k^T J v_k at each point, in the strategy's own way.
        is_traced: It rests on a recording of f: a change of what f reads makes it stale, and it is for points of the
            shape that it was made with.
        is_confirmed: It was held against a witness already.
    """

    evaluate: Function
    estimate: Callable[[Tensor], Estimate] | None = None
    chosen: Strategy | None = None
    reason: str = ""
    passes: Passes | None = None
    parts: Callable[[Tensor], tuple[Tensor, ...]] | None = None
    entries: Callable[[Tensor, Tensor], Tensor] | None = None
    along: Callable[[Tensor, Tensor], Tensor] | None = None
    is_traced: bool = False
    is_confirmed: bool = False


# Direct calls whose strategy was held against a witness before, for a function like theirs.
CONFIRMED: Recall[bool] = Recall()


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
    # It is a sum of products of plain reverse mode and claims no more.
    is_plain: ClassVar[bool] = False

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
    def counted(self) -> Strategy:
        """The strategy whose operations are counted for this one: itself, unless they are out of torch's sight."""
        return self

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
        self, operator: Operator, f: Function, x: Tensor, generator: torch.Generator | None
    ) -> Function | Contraction:
        """The untimed set-up: a callable x -> result. `f` has had its shapes checked, `x` is valid."""

    @final
    def prepare(self, operator: str, f: Function, x: Tensor, generator: torch.Generator | None = None) -> Prepared:
        """Set up the operator for f once; the callable then serves every x like the given one.

        Args:
            operator: "divergence" or "jacobian_diagonal" of a field, "laplacian" of a scalar.
            f: Row-wise field, (B, n) -> (B, n), or scalar, (B, n) -> (B,).
            x: A point (n,) or points (B, n); its values serve tracing and compilation only.
            generator: Source of random probes; only stochastic strategies draw.

        Returns:
            A callable x -> (B,), or (B, n) for "jacobian_diagonal"; without B for a single point.

        Raises:
            UnsupportedError: The strategy cannot serve this operator or function; says why.
            ShapeError: x or f(x) has a shape that does not fit; names the shapes.
            UsageError: No such operator, or x is not floating-point.
        """
        contraction, points = self._built(operator, f, x, generator)
        prepared = self._prepared(operator, f, points, generator, contraction)
        prepared.confirm(points)
        return prepared

    def apply(self, operator: str, f: Function, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The result at x, for a caller that keeps no prepared operator, such as `divergence` in a training step.

        What was held against a witness for f before, or for a function of the same code, is not again.
        """
        contraction, points = self._built(operator, f, x, generator)
        prepared = self._prepared(operator, f, points, generator, contraction)
        if not torch.compiler.is_compiling():
            circumstances = (self, *circumstances_of(operator, points))
            found = CONFIRMED.find(f, circumstances)
            if found is not None and found.is_own:
                prepared.trust()
            else:
                prepared.confirm(points)
                CONFIRMED.keep(f, circumstances, True)
        return prepared(points)

    def trusted(self, operator: str, f: Function, x: Tensor, contraction: Contraction | None = None) -> Prepared:
        """The operator set up for f, for which this strategy was held against a witness before."""
        if contraction is None:
            contraction, x = self._built(operator, f, x, None)
        prepared = self._prepared(operator, f, x, None, contraction)
        prepared.trust()
        return prepared

    def _built(
        self, operator: str, f: Function, x: Tensor, generator: torch.Generator | None
    ) -> tuple[Contraction, Tensor]:
        if operator not in OPERATORS:
            raise UsageError(unknown("operator", operator, OPERATORS))
        if (reason := self.refuse(operator)) is not None:
            raise UnsupportedError(f"{self.spec} cannot serve the {operator}: {reason}")
        check_points(x)
        points = usable(x)
        with outside_inference_mode(), telling(self, f, points), plain_attention():
            built = self.build(operator, checked(f, operator), points, generator)
        return built if isinstance(built, Contraction) else Contraction(built), points

    def _prepared(
        self, operator: str, f: Function, x: Tensor, generator: torch.Generator | None, contraction: Contraction
    ) -> Prepared:
        return Prepared(self, operator, f, x.shape[-1], contraction, lambda x: self.prepare(operator, f, x, generator))


def circumstances_of(operator: str, x: Tensor) -> tuple[Hashable, ...]:
    """What a choice, or a confirmation, depends on beside f. Batches of up to twice the size share one."""
    transformed = torch._C._functorch.peek_interpreter_stack() is not None
    points = x.shape[0].bit_length() if x.dim() == 2 else None
    modes = (torch.is_grad_enabled(), torch.get_num_threads(), transformed)
    return (operator, x.shape[-1], points, x.dtype, x.device, x.requires_grad, type(x), modes)


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
