"""An operator of a function as users have them, brought to a plain operator of a plain function.

Strategies know row-wise functions (B, n) -> (B, n), (B,) or (B, m), and the trace or the diagonal of all of J or H.
Whatever else is asked for is a change of variables around f, a stage each:

- points of any shape are flattened;
- complex results are their real and imaginary parts;
- over coordinates S alone, it is the operator of z -> f(x with x_S = z), which has |S| of them;
- a weight is one of `weights`.

So every strategy serves all of it, at the cost of |S| or rank A coordinates in place of n.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from jacstrat.core.errors import ShapeError, UsageError
from jacstrat.core.operator import FunctionKind, Operator, is_array
from jacstrat.series.norms import PlainNorms, in_plain_words
from jacstrat.strategies.checked import checked, wrapping
from jacstrat.strategies.copies import Copies
from jacstrat.strategies.points import check_points
from jacstrat.strategies.sets_data import DataSets, kept_from_data
from jacstrat.strategies.stages import (
    ComplexField,
    ComplexScalar,
    OneOutput,
    Restricted,
    SeveralOutputs,
    Stage,
    Transparent,
    Whole,
    bare_weight,
    event_of,
    whole_of,
)
from jacstrat.strategies.weights import ConstantWeight, RowWeight, is_differentiated, weighing
from jacstrat.strategies.workload import same_random_numbers
from jacstrat.trace.arguments import Args, Function
from jacstrat.trace.tracers import is_transformed


class OutputForm(NamedTuple):
    """What f(x) is like.

    Fields:
        outputs: Of a scalar: m for (B, m), None for (B,). Of a field: how many it has.
        is_complex: Whether its numbers are.
        sets_data: Whether f sets `.data` of a tensor on the way.
        normalises: Whether it has a normalisation whose derivatives are wanted once more than torch's own are right.
    """

    outputs: int | None
    is_complex: bool
    sets_data: bool = False
    normalises: bool = False


@dataclass(frozen=True, eq=False)
class Reduction:
    """An operator of f as one of `function`.

    Fields:
        operator: Plain, to be applied to `function` at `points(x, args)`.
        function: Row-wise; has `outputs`, how many a scalar has, None for one without an axis of its own.
        stages: What was changed, the first first.
        kind: Of f.
    """

    operator: Operator
    function: Function
    stages: tuple[Stage, ...] = ()
    kind: FunctionKind = "field"

    def is_stale(self, x: Tensor) -> bool:
        """Whether a weight has other numbers than those that it was factorised with, or was so for other points."""
        return any(isinstance(stage, ConstantWeight) and stage.is_stale(x) for stage in self.stages)

    @property
    def has_weight_function(self) -> bool:
        """Whether a weight is a function of the point, called as f is."""
        return any(isinstance(stage, RowWeight) and not is_array(stage.weight) for stage in self.stages)

    @property
    def is_transparent(self) -> bool:
        """Whether value and gradient of `function` are those of f, in another shape."""
        return all(isinstance(stage, Transparent) for stage in self.stages)

    def beside(self, value: Tensor | None, gradient: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        """Value and gradient of f from those of `function`, where it is transparent."""
        for stage in reversed(self.stages):
            assert isinstance(stage, Transparent)
            value = None if value is None else stage.value(value)
            gradient = None if gradient is None else stage.gradient(gradient)
        return value, gradient

    def points(self, x: Tensor, args: Args) -> tuple[Tensor, Args]:
        """The points that the operator is applied at, and what the function takes beside."""
        for stage in self.stages:
            x, args = stage.points(x, args)
        return x, args

    def result(self, result: Tensor) -> Tensor:
        """What was asked for."""
        for stage in reversed(self.stages):
            result = stage.result(result)
        return result


def reduction(
    operator: Operator,
    f: Function,
    x: Tensor,
    args: Args,
    event_dim: int,
    needs_scalar: bool,
    form: OutputForm | None = None,
) -> tuple[Reduction, OutputForm]:
    """How an operator of f is reduced, and what f(x) is like.

    Args:
        operator, f, x, args: What is asked for.
        event_dim: Axes of a point.
        needs_scalar: The strategy serves scalars alone, and no field of their gradient.
        form: What f(x) is like, where that is known already; else f is evaluated.

    Raises:
        ShapeError: x or f(x) has a shape that does not fit; names the shapes.
        UsageError: Coordinates or a weight that x cannot have; names them. Or f writes into x.
    """
    stages: list[Stage] = []

    def add(stage: Stage) -> None:
        nonlocal f, x, args
        stages.append(stage)
        f = wrapping(stage.function(f), f)
        x, args = stage.points(x, args)

    if event_dim != 1:
        event = event_of(x, event_dim, operator)
        operator = event.weighed(operator)
        add(event)
    check_points(x)
    n = x.shape[-1]
    operator.check_coordinates(n)
    f = checked(f, operator)
    if whole := whole_of(x, args):
        add(Whole(whole))
        operator = bare_weight(operator, whole)
    form = form or _form(f, x, args)
    if form.sets_data:
        f = kept_from_data(f)
    if form.normalises and operator.order > 1:
        f = wrapping(in_plain_words(f), f)
    f = _formed(f, form.outputs, form.is_complex)
    if operator.kind == "scalar":
        axis = -1 if operator.is_trace else -2
        if form.outputs == 1:
            add(OneOutput(operator.is_trace))
        if form.is_complex:
            add(ComplexScalar(None if form.outputs == 1 else form.outputs, axis))
    elif form.is_complex:
        copies = Copies.of(2, x)
        operator = copies.weighed(operator, x)
        add(ComplexField(copies))
    S = operator.coordinates
    if tuple(range(n)) == S and (operator.kind == "scalar" or form.outputs == n):
        S = None
    if S is not None:
        add(Restricted(S, n, form.outputs if operator.kind == "field" else None))
    plain, outputs = operator.plain, _outputs(operator, form)
    if operator.weight is not None:
        # The field of a gradient has one output, and what is differentiated is not factorised.
        if outputs is not None and not needs_scalar and is_differentiated(operator.weight, x, args, S):
            several = SeveralOutputs(Copies.of(outputs, x))
            operator, outputs = several.copies.weighed(operator, x), None
            add(several)
        plain, stage = weighing(replace(operator, coordinates=None), x, S, n, needs_scalar or outputs is not None)
        add(stage)
    return Reduction(plain, _marked(f, outputs) if outputs else f, tuple(stages), operator.kind), form


def _outputs(operator: Operator, form: OutputForm) -> int | None:
    """How many real outputs a scalar has; None for one, and for a field."""
    if operator.kind == "field":
        return None
    m = None if form.outputs in (None, 1) else form.outputs
    return (m or 1) * 2 if form.is_complex else m


class FormError(ShapeError):
    """f(x) has another form than what was prepared is for."""


def _formed(f: Function, outputs: int | None, is_complex: bool) -> Function:
    """f, whose results are to be like the first: of another number of outputs they would be taken for others.

    Raises, when called:
        FormError: One is not.
    """

    def function(x: Tensor, *args: Any) -> Tensor:
        y = f(x, *args)
        if (y.shape[-1] if y.dim() == x.dim() else None) != outputs or y.is_complex() != is_complex:
            was = f"{outputs or 'no axis of'} outputs, {'complex' if is_complex else 'real'}"
            raise FormError(f"prepared for f(x) with {was}, got {tuple(y.shape)} {y.dtype}; prepare again")
        return y

    return wrapping(function, f)


def _marked(f: Function, outputs: int) -> Function:
    """f as a scalar of so many outputs."""

    def function(x: Tensor, *args: Any) -> Tensor:
        return f(x, *args)

    wrapping(function, f)
    function.outputs = outputs  # type: ignore[attr-defined]
    return function


def outputs_of(f: Function) -> int | None:
    """How many outputs a reduced scalar has; None for one without an axis of its own."""
    outputs: int | None = getattr(f, "outputs", None)
    return outputs


def _form(f: Function, x: Tensor, args: Args) -> OutputForm:
    point = x.detach().clone()
    # That f was called once more changes nothing that it draws later.
    with torch.no_grad(), same_random_numbers(x.device), DataSets() as sets:
        y = f(point, *args)
    is_whole = not (torch.compiler.is_compiling() or is_transformed())
    if is_whole and point._version > 0:
        raise UsageError("f writes into x, which is the caller's; have it write into x.clone()")
    normalises = is_whole and torch.is_grad_enabled() and _normalises(f, x, args)
    return OutputForm(y.shape[-1] if y.dim() == x.dim() else None, y.is_complex(), sets.seen, normalises)


def _normalises(f: Function, x: Tensor, args: Args) -> bool:
    """Whether f has a normalisation, and leaves that a gradient may be wanted of."""
    with same_random_numbers(x.device), DataSets(), PlainNorms() as norms:
        y = f(x.detach().clone(), *args)
    return norms.seen and (x.requires_grad or y.requires_grad)
