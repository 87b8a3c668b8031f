"""A field prepared for its divergence or the diagonal of its Jacobian: read at each shape of x that it meets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from jacstrat.chain.cut import Cut, narrowest
from jacstrat.chain.discover import Opaque, in_a_graph, same
from jacstrat.chain.factors import TapeFactors, factors
from jacstrat.chain.plan import ChainPlan, plan
from jacstrat.chain.reading import ChainStage, Reading, read
from jacstrat.chain.values import Values, run, values_of
from jacstrat.core.errors import UnsupportedError
from jacstrat.trace import Tape, Tapes, Untraceable, leaves
from jacstrat.trace.arguments import Args
from jacstrat.trace.cache import tapes_themselves
from jacstrat.trace.decompositions import CHAINED
from jacstrat.trace.operations import is_random

# Cuts that are looked at, the narrowest first.
MOST_CUTS = 4


class Contracted(NamedTuple):
    """Constants by slot, what was contracted of them, and the tensors that they were made of, as they were."""

    constants: list[Any]
    plan: ChainPlan
    of: list[Tensor]


class FieldChain:
    """A chain at one shape of x.

    Args:
        reading: The tape as a chain.
        diagonal: Whether the diagonal is wanted, in place of its sum.
    """

    def __init__(self, reading: Reading, diagonal: bool) -> None:
        self.reading = reading
        self.diagonal = diagonal
        values = reading.values
        operands = (leaf for node in values.nodes for leaf in leaves((node.args, *node.kwargs.values())))
        self._operands = list({id(leaf): leaf for leaf in operands if isinstance(leaf, Tensor)}.values())
        changing = values.varying | values.moving | set(values.fixed)
        self._constant = [node for node in values.nodes if not changing.intersection(node.outs)]
        with torch.no_grad():
            constants = self._constants()
            self.start, best = self._best(constants)
            self._cached = Contracted(constants, best, self._copies())
        self.factors: TapeFactors = factors(reading, best.stages)

    def _best(self, constants: list[Any]) -> tuple[int, ChainPlan]:
        """Where to cut the chain open: at x, unless tangents are narrower elsewhere."""
        best: tuple[int, ChainPlan] = (0, plan(self.reading, constants, 0, self.diagonal))
        if self.diagonal or not best[1].pushes:
            return best
        bases = {linear.base for linear in self.reading.linear} - self.reading.passed
        starts = [slot for slot, _ in self.reading.values.cuts() if slot in bases]
        for slot in sorted(starts, key=self.reading.widths.__getitem__)[:MOST_CUTS]:
            candidate = plan(self.reading, constants, slot, False)
            if candidate.flops < best[1].flops:
                best = slot, candidate
        return best

    def _constants(self) -> list[Any]:
        environment: list[Any] = [None] * len(self.reading.values.sample)
        for fixed_slot, tensor in self.reading.values.fixed.items():
            environment[fixed_slot] = tensor
        for node in self._constant:
            for slot, out in zip(node.outs, run(node, environment), strict=True):
                if slot is not None:
                    environment[slot] = out
        return environment

    def _copies(self) -> list[Tensor]:
        return [tensor.detach().clone() for tensor in self._operands]

    def contracted(self) -> Contracted:
        """The constants, contracted again where a graph of that is wanted, a device's, too, or they have changed."""
        tracked = in_a_graph(self._operands)
        if not tracked and same(self._cached.of, self._operands):
            return self._cached
        constants = self._constants()
        chain_plan = plan(self.reading, constants, self.start, self.diagonal)
        if not chain_plan.stages <= set(self.factors.stages):  # an index that the function holds has moved
            self.factors = factors(self.reading, chain_plan.stages)
        if tracked:
            return Contracted(constants, chain_plan, [])
        self._cached = Contracted(constants, chain_plan, self._copies())
        return self._cached

    def __call__(self, x: Tensor, *args: Any) -> Tensor:
        constants, chain_plan, _ = self.contracted()
        d: dict[ChainStage, Tensor] = self.factors.at(x, args, constants)
        batch = len(x) if x.dim() == 2 else 1
        result = chain_plan.contracted(d, batch, self.diagonal)
        return result if x.dim() == 2 else result[0]

    @property
    def reason(self) -> str:
        """How it is contracted, in words."""
        chain_plan = self._cached.plan
        number = len(chain_plan.stages)
        layers = f"{number} pointwise factor{'' if number == 1 else 's'}"
        if not chain_plan.pushes:
            return f"{layers}, the constants between them folded"
        n = self.reading.values.sample[0].shape[-1]
        where = "" if self.start == 0 else ", through the narrowest cut"
        return f"{layers}, {chain_plan.columns} tangents for n = {n}{where}"


class Field:
    """A row-wise field and its chains, by shape of x.

    Args:
        f: Row-wise field, (B, n) -> (B, n), called as f(x, *args).
        diagonal: Whether the diagonal of its Jacobian is wanted, or the sum of it.
        recordings: The tapes of f; made where not given.
    """

    def __init__(self, f: Callable[..., Tensor], diagonal: bool, recordings: Tapes[Tape] | None = None) -> None:
        self.diagonal = diagonal
        self._f, self._recordings = f, recordings or tapes_themselves(f, CHAINED)
        self._tapes: Tapes[Callable[..., Tensor] | str] = Tapes(
            f, self._evaluate_of, CHAINED, recordings=self._recordings
        )

    def of_diagonal(self) -> Field:
        """The diagonal of the same field, read off the same tapes."""
        return self if self.diagonal else Field(self._f, True, self._recordings)

    @property
    def constants(self) -> tuple[Tensor, ...]:
        """Tensors that the tapes recorded so far have as they are."""
        return tuple(self._tapes.constants.values())

    def prepared(self, x: Tensor, args: Args = ()) -> str:
        """How points like x are served, in words.

        Raises:
            UnsupportedError: They cannot be; says why.
        """
        evaluate = self._at(x, args)
        if isinstance(evaluate, Cut):
            return f"a cut of width {evaluate.width}, in place of n = {x.shape[-1]}"
        return evaluate.reason if isinstance(evaluate, FieldChain) else "f does not depend on x"

    def __call__(self, x: Tensor, *args: Any) -> Tensor:
        """The divergence, (B,), or the diagonal, (B, n); less B for a point."""
        if not x.numel():
            return x if self.diagonal else x.sum(-1)
        return self._at(x, args)(x, *args)

    def _at(self, x: Tensor, args: Args) -> Callable[..., Tensor]:
        evaluate = self._tapes.at(x, args)
        if isinstance(evaluate, Untraceable):
            raise UnsupportedError(f"chain cannot trace this function: {evaluate}; use vmap")
        if isinstance(evaluate, str):
            raise UnsupportedError(evaluate)
        return evaluate

    def _evaluate_of(self, tape: Tape, x: Tensor, args: Args) -> Callable[..., Tensor] | str:
        # Of the tape: the nodes of its values are those that depend on x, and a draw may not.
        if random := [node.op for node in tape.nodes if is_random(node.op)]:
            return f"chain cannot serve this function: {random[0]} draws random numbers; use identity"
        values = values_of(tape, x, args)
        chain = self._read(values, args)
        values.forget()
        return chain

    def _read(self, values: Values, args: Args) -> Callable[..., Tensor] | str:
        if values.output < 0:
            return self._zeros
        try:
            with torch.no_grad():
                return FieldChain(read(values), self.diagonal)
        except Opaque as reason:
            why = str(reason)
        if self.diagonal:
            return f"chain cannot see through this function: {why}; use vmap"
        return self._through(values, why, args)

    def _through(self, values: Values, why: str, args: Args) -> Callable[..., Tensor] | str:
        cut = narrowest(values, args)
        if cut is None:
            n = values.sample[0].shape[-1]
            return f"chain cannot see through this function: {why}, and it has no cut narrower than n = {n}; use vmap"
        return cut

    def _zeros(self, x: Tensor, *args: Any) -> Tensor:
        return torch.zeros_like(x) if self.diagonal else torch.zeros_like(x[..., 0])
