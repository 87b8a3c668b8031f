"""Strategies measured on a function and points at hand, in this process: for a notebook or a script."""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from jacstrat.core.errors import UsageError, lookup, unknown
from jacstrat.core.operator import OWN, Operator, parse_operator
from jacstrat.harness.dispatch.here import measure_here
from jacstrat.harness.plan.cases import Cell
from jacstrat.harness.plan.devices import missing_device
from jacstrat.harness.plan.precision import DTYPES, TF32
from jacstrat.harness.plan.sweep import WORKLOADS
from jacstrat.harness.watching import Watching, shown_by
from jacstrat.measure.sampling import Settings
from jacstrat.problems.base import Instance, Problem
from jacstrat.record import Record
from jacstrat.records import to_frame
from jacstrat.strategies import Strategy, default_strategies, parse_strategy
from jacstrat.strategies.points import check_points

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from jacstrat.harness.compared import Compared
    from jacstrat.report.analysis.sheet import Sheet


@dataclass(frozen=True, repr=False)
class Benchmark:
    """What `benchmark` measured. Prints as a table, fastest first; in a notebook a headline and a picture join it.

    Fields:
        records: A record a strategy, in the order asked for.
        samples: The raw samples by case, as `jacstrat.records.read_samples` gives them; those of f have "f" where
            their case has the strategy.
    """

    records: tuple[Record, ...]
    samples: Mapping[str, Mapping[str, Any]]

    def to_dataframe(self) -> pd.DataFrame:
        """A row a strategy: the columns of records.csv, with their dtypes, as `read_records` gives them."""
        return to_frame(self.records)

    def plot(self, kind: str = "time") -> Figure:
        """One of the plots of `jacstrat report`, of these strategies.

        Args:
            kind: "time", "cost-ratio", "error", "memory", "pareto", ...; see docs/report.md.

        Raises:
            UsageError: No such plot, or nothing was measured that it could show.
        """
        from jacstrat.report.figures.plots import PLOTS
        from jacstrat.report.figures.roofline import absent

        figure = lookup("plot", kind, PLOTS)(self.to_dataframe())
        if figure is None:
            missing = absent(kind, self.records).partition(": ")[2]
            because = missing or "print the result for the rows"
            raise UsageError(f"there is no {kind} plot, since nothing that it shows was measured; {because}")
        return figure

    @property
    def headline(self) -> str:
        """Who is fastest, by how much, and who is wrong, in a sentence or two."""
        from jacstrat.report.analysis.headline import headline

        return " ".join(headline(self.records).sentences)

    def compare(self, other: Benchmark) -> Compared:
        """This result against another one: a verdict a strategy on errors, counts and times.

        The two may be of different functions at the same size, such as one before and after a change; times are
        compared as multiples of that of f, which both have.

        Args:
            other: What this one is held against, measured on this machine.

        Raises:
            NothingToCompareError: No strategy was measured in both at the same n, B, dtype, device and threads.
        """
        from jacstrat.harness.compared import compared

        names = [one.records[0].problem for one in (other, self)]
        labels = (names[0], names[1]) if names[0] != names[1] else ("the other", "this")
        return compared((other.records, other.samples), (self.records, self.samples), labels)

    def _sheets(self) -> list[Sheet]:
        """The cases, and the reasons of those that have no result."""
        from jacstrat.report.analysis.answers import failures, unsupported
        from jacstrat.report.analysis.case_sheets import records_sheets
        from jacstrat.report.analysis.tables import failures_table, unsupported_table

        frame = self.to_dataframe()
        sheets = records_sheets(frame)
        sheets += [failures_table(frame)] if failures(frame) else []
        return sheets + ([unsupported_table(frame)] if unsupported(frame) else [])

    def __repr__(self) -> str:
        """The headline on a line, and the tables as wide as the terminal, as plain text."""
        from rich.console import Console

        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        with io.TextIOWrapper(io.BytesIO(), encoding=encoding) as file:
            console = Console(file=file, color_system=None, force_terminal=False, force_jupyter=False)
            console.print(f"{self.headline}\n", markup=False, highlight=False, soft_wrap=True)
            for sheet in self._sheets():
                console.print(sheet)
                console.print()
            file.seek(0)
            return "\n".join(line.rstrip() for line in file.read().strip().splitlines())

    def _repr_html_(self) -> str:
        from jacstrat.report.figures.multiples import draw_strip
        from jacstrat.report.figures.notebook import figure_html, paragraphs_html, sheets_html

        figure = draw_strip(self.records)
        picture = figure_html(figure, self.headline) if figure else ""
        return paragraphs_html([self.headline]) + sheets_html(self._sheets()) + picture


def benchmark(
    f: Callable[..., Tensor],
    x: Tensor,
    operator: str | Operator = "divergence",
    strategies: str | Strategy | Sequence[str | Strategy] | None = None,
    *,
    args: Sequence[Any] = (),
    weight: Any = None,
    workload: str = "evaluate",
    parameters: Iterable[Tensor] | None = None,
    seed: int = 0,
    sample_s: float = 0.25,
    progress: bool | None = None,
) -> Benchmark:
    """Measure strategies on a function at given points, side by side with f itself.

    This is one cell of `jacstrat run`, measured in this process: nothing ends a strategy that hangs or takes too much
    memory. Results are compared with a dense Jacobian (or Hessian) by autograd, in float64 where f takes it.

    Args:
        f: Row-wise field, (B, n) -> (B, n), or scalar, (B, n) -> (B,) or (B, m), called as f(x, *args); an nn.Module is
            one, too.
        x: Points, (B, n), or (n,) for one; their dtype and device are measured on.
        operator: An Operator, or its spec: "divergence" or "jacobian_diagonal" of a field, "laplacian",
            "hessian_diagonal" or "bilaplacian" of a scalar; over some coordinates "laplacian:coordinates=0+1".
        strategies: Strategies or their specs; all in STRATEGIES that serve the operator unless given,
            but for `compiled`.
        args: Further arguments of f. A tensor that is as long as x has rows goes with the rows.
        weight: A, as for `jacstrat.laplacian`, where the operator has none.
        workload: "evaluate", "train" (with the way back to the parameters) or, on devices with graphs, "replay".
        parameters: What "train" goes back to; those of f, where it is an nn.Module, unless given.
        seed: Of random probes, and of the order of sampling.
        sample_s: Most seconds to sample one strategy, preparation and warm-up apart.
        progress: Show how far it is, or not; unless given, on a terminal and in a notebook.

    Returns:
        A result that prints as a headline and a table, with `.to_dataframe()`, `.plot()`, `.compare(other)` and
        `.samples`. A strategy that cannot serve f is a row of it, with the reason.

    Raises:
        UsageError: An argument is none that can be, or f breaks a rule or raises; says which, where, and the remedy.
        ShapeError: x or f(x) has a shape that does not fit; names the shapes.
        KeyboardInterrupt: It was interrupted.

    Cost: a strategy, `sample_s` and about as much again; once, n products in float64 for the reference.
    """
    operator = _operator(operator, weight)
    specs = _specs(operator, strategies)
    _check_numbers(seed, sample_s)
    # Autograd works only outside of inference mode.
    with torch.inference_mode(False):
        instance = _instance(f, x, tuple(args), operator, workload, parameters)
        cell = Cell(
            problem=instance.problem.name,
            operator=_with_spec(operator).spec,
            n=x.shape[-1],
            batch=x.numel() // x.shape[-1],
            dtype=str(x.dtype).removeprefix("torch."),
            device=str(x.device),
            workload=workload,
            threads=torch.get_num_threads(),
            seed=seed,
            strategies=specs,
        )
        with Watching(specs, shown_by(progress)) as watching:
            settings = Settings(limit_s=sample_s)
            outcomes = list(measure_here(cell, settings, watching.attend, instance=instance))
    records = {outcome.record.strategy: outcome.record for outcome in outcomes if outcome.record}
    samples = {outcome.case: outcome.samples for outcome in outcomes if outcome.samples}
    return Benchmark(tuple(records[spec] for spec in specs), samples)


def _operator(operator: str | Operator, weight: Any) -> Operator:
    operator = parse_operator(operator)
    if isinstance(operator.weight, str):
        raise UsageError(f"{operator} is for a Problem that names its weight; give weight=A, a tensor or a function")
    if weight is not None and operator.weight is not None:
        raise UsageError(f"{operator} has a weight already; leave out one of the two")
    return operator if weight is None else replace(operator, weight=weight)


def _with_spec(operator: Operator) -> Operator:
    """The operator with a spec: a weight that has none is that of the problem."""
    has_none = operator.weight is not None and not isinstance(operator.weight, tuple)
    return replace(operator, weight=OWN) if has_none else operator


def _specs(operator: Operator, strategies: str | Strategy | Sequence[str | Strategy] | None) -> tuple[str, ...]:
    """The strategies by spec, each once, that have a place in the table."""
    if strategies is None:
        return tuple(name for name in default_strategies() if _serves(parse_strategy(name), operator))
    asked = [strategies] if isinstance(strategies, str | Strategy) else strategies
    specs = [parse_strategy(strategy).spec for strategy in asked]
    if not specs:
        raise UsageError("strategies is empty; leave it out for all that serve the operator")
    return tuple(dict.fromkeys(parse_strategy(spec).spec for spec in specs))


def _serves(strategy: Strategy, operator: Operator) -> bool:
    return strategy.refuse(operator) is None


def _check_numbers(seed: object, sample_s: object) -> None:
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**63:
        raise UsageError(f"seed must be a whole number from 0 to 2^63 - 1, got {seed!r}")
    if not isinstance(sample_s, int | float) or isinstance(sample_s, bool) or not 0 < sample_s < math.inf:
        raise UsageError(f"sample_s must be more than 0 seconds and finite, got {sample_s!r}")


def _instance(
    f: Callable[..., Tensor],
    x: Tensor,
    args: tuple[Any, ...],
    operator: Operator,
    workload: str,
    parameters: Iterable[Tensor] | None,
) -> Instance:
    """f and x as they are, as an instance of a problem of their own."""
    if not callable(f):
        raise UsageError(f"f must be a row-wise function of x, got {type(f).__name__}")
    check_points(x)
    if x.numel() == 0:
        raise UsageError(f"x must hold at least one point, got shape {tuple(x.shape)}")
    if x.dtype not in DTYPES.values():
        raise UsageError(
            f"x must be of {', '.join(name for name in DTYPES if name != TF32)}, got {x.dtype}; use x.float()"
        )
    if reason := missing_device(str(x.device)):
        raise UsageError(reason)
    if workload not in WORKLOADS:
        raise UsageError(unknown("workload", workload, WORKLOADS))
    if parameters is None and isinstance(f, torch.nn.Module):
        parameters = f.parameters()
    trained = {str(i): p for i, p in enumerate(parameters or ()) if p.requires_grad}
    if workload == "train" and not trained:
        raise UsageError("f has no parameters that require grad; give those to train as parameters=net.parameters()")
    weight = operator.weight if _with_spec(operator).weight == OWN else None
    problem = Problem(
        name=f.__name__ if hasattr(f, "__name__") else type(f).__name__,
        kind=None,
        formula="f(x)",
        answer="none known: the reference is a dense autograd matrix",
        function=f,
        diagonal=None,
        structure="unknown",
        weight=None if weight is None else lambda n, rng: weight,
    )
    if reason := problem.unfit(operator, x.shape[-1]):
        raise UsageError(reason)
    # A copy: a tensor made in inference mode has no derivative, and one that requires grad has another's graph.
    return Instance(problem, x.detach().clone(), f, trained, args, weight)
