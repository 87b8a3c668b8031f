"""What all strategies of one program have in common, computed once: what the witness says, and what a trace proves.

Neither depends on the strategy, nor on whether gradients are tracked: a preparation computes both anew since f may have
changed, which a program does not.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from torch import Tensor

from jacstrat.core.operator import Operator
from jacstrat.strategies import coloring, hold
from jacstrat.strategies.auto import strategy as auto
from jacstrat.strategies.witness import Witness
from jacstrat.structure import UntracedError, structure
from jacstrat.trace.arguments import Args, Function


@contextmanager
def shared() -> Iterator[None]:
    """Witnesses and proofs are made once for each function and its points, until this ends."""
    kept: dict[Hashable, Any] = {}
    prove = structure.prove_structure

    def once(kind: object, operator: Operator, f: Function, x: Tensor, args: Args, made: Callable[[], Any]) -> Any:
        while (inner := getattr(f, "__wrapped__", None)) is not None:
            f = inner
        # With all of them alive no other ones take their places.
        key = (kind, operator, id(f), x.data_ptr(), x.shape, x.stride(), x.requires_grad, tuple(map(id, args)))
        if key not in kept:
            kept[key] = made(), f, x, args
        return kept[key][0]

    def witness(operator: Operator, f: Function, x: Tensor, args: Args, terms: Function | None) -> Witness:
        return once(Witness, operator, f, x, args, lambda: Witness(operator, f, x, args, terms))

    def proved(f: Function, x: Tensor, operator: Operator, args: Args = ()) -> structure.Structure:
        def tried() -> structure.Structure | UntracedError:
            try:
                return prove(f, x, operator, args)
            except UntracedError as error:
                return error

        found = once(prove, operator, f, x, args, tried)
        if isinstance(found, UntracedError):
            raise UntracedError(str(found))
        return found

    with (
        patch.object(hold, "Witness", witness),
        patch.object(structure, "prove_structure", proved),
        patch.object(auto, "prove_structure", proved),
        patch.object(coloring, "prove_structure", proved),
    ):
        yield
