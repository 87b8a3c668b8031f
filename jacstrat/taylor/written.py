"""Operations that write into a copy, at places that do not depend on x: each entry comes from one tensor or the other.

Where several numbers are written to one place one of them stays, and torch's derivative goes to all of them. Here the
operation itself tells which: it is done to the numbers of the entries.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from jacstrat.taylor.jet import Jet, value_of
from jacstrat.taylor.rule import NotCovered, Rule, TaylorCall, always
from jacstrat.trace.tape import leaves


def written(source_at: int) -> Rule:
    """The rule of op(v, *indices, source), the source at this position, and nothing but False behind it."""

    def apply(call: TaylorCall) -> Jet:
        v, source, indices = call.args[0], call.args[source_at], call.args[1:source_at]
        if call.kwargs or any(call.args[source_at + 1 :]) or any(isinstance(leaf, Jet) for leaf in leaves(indices)):
            raise NotCovered
        old, new = value_of(v), value_of(source)
        numbers = torch.arange(new.numel(), device=new.device).view(new.shape)
        places = call.op(torch.full_like(old, -1, dtype=torch.long), *indices, numbers)
        stays, places = places < 0, places.clamp_min(0)

        def joined(before: Tensor, after: Tensor, axes: int) -> Tensor:
            """Entries of one or the other, with so many axes in front."""
            entries = after.reshape(*after.shape[:axes], -1)  # `flatten` knows no axes behind those of a single number
            return torch.where(stays, before, entries[..., places])

        bent = [jet.laplacian for jet in (v, source) if isinstance(jet, Jet) and jet.laplacian is not None]
        laplacian = joined(_laplacian(v), _laplacian(source), 0) if bent else None
        tangents = None
        if call.wants_tangents:
            K = next(jet.directions for jet in (v, source) if isinstance(jet, Jet))
            tangents = joined(_tangents(v, K), _tangents(source, K), 1)
        return Jet(joined(old, new, 0), tangents, laplacian)

    return Rule(apply, always)


def _laplacian(argument: Any) -> Tensor:
    laplacian = argument.laplacian if isinstance(argument, Jet) else None
    return torch.zeros_like(value_of(argument)) if laplacian is None else laplacian


def _tangents(argument: Any, K: int) -> Tensor:
    if isinstance(argument, Jet):
        return argument.full()
    return argument.new_zeros(()).expand(K, *argument.shape)


aten = torch.ops.aten

WRITTEN: dict[Any, Rule] = {
    aten.scatter.src: written(3),
    aten.index_copy.default: written(3),
    aten.index_put.default: written(2),
    aten.masked_scatter.default: written(2),
}
