"""The trace of any function through its narrowest cut: tr(J2 J1) = tr(J1 J2), w products instead of n."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from jacstrat.chain.values import Values, run
from jacstrat.trace.arguments import Args


@dataclass(frozen=True, eq=False)
class Cut:
    """A tape in two parts, x -> c -> f(x), all of the dependence on x passing through c.

    Fields:
        values: The tape.
        slot: Of c.
        number: Of the operation that makes c.
        width: Entries of c for one point.
    """

    values: Values
    slot: int
    number: int
    width: int

    def __call__(self, x: Tensor, *args: Any) -> Tensor:
        """sum_k e_k^T J1 J2 e_k, (B,), or () for a point: a VJP of each part for each of w entries of c, batched."""
        c, pull, *aux = torch.func.vjp(lambda x: self._first(x, args), x, has_aux=True)
        y, pull_behind, *_ = torch.func.vjp(lambda c: self._second(c, aux[0], args), c)
        batch = self.values.batch
        units = torch.eye(self.width, dtype=c.dtype, device=c.device)

        def entry(e: Tensor) -> Tensor:
            (g,) = pull(e.expand(batch, self.width).reshape(c.shape))
            (h,) = pull_behind(g.to(y.dtype))
            return (h.reshape(batch, self.width) * e).sum(1)

        rows = torch.func.vmap(entry)(units).sum(0).to(x.dtype)
        return rows if x.dim() == 2 else rows[0]

    def _first(self, x: Tensor, args: Args) -> tuple[Tensor, dict[int, Tensor]]:
        """c, and what else the second part needs: what does not vary with x, as all that does passes through c."""
        environment = self._fixed()
        self.values.placed(environment, x, args)
        self._run(environment, 0, self.number + 1)
        written = {slot for node in self.values.nodes[: self.number + 1] for slot in node.outs}
        read = {slot for node in self.values.nodes[self.number + 1 :] for slot in node.slots}
        rest = {
            slot: environment[slot] for slot in (written & read) | {0} if isinstance(slot, int) and slot != self.slot
        }
        return environment[self.slot], {slot: tensor.detach() if slot == 0 else tensor for slot, tensor in rest.items()}

    def _second(self, c: Tensor, rest: dict[int, Tensor], args: Args) -> Tensor:
        environment = self._fixed()
        self.values.placed(environment, rest[0], args)
        for slot, tensor in rest.items():
            environment[slot] = tensor
        environment[self.slot] = c
        self._run(environment, self.number + 1, len(self.values.nodes))
        return environment[self.values.output]

    def _fixed(self) -> list[Any]:
        environment: list[Any] = [None] * len(self.values.sample)
        for slot, tensor in self.values.fixed.items():
            environment[slot] = tensor
        return environment

    def _run(self, environment: list[Any], start: int, stop: int) -> None:
        for node in self.values.nodes[start:stop]:
            for slot, out in zip(node.outs, run(node, environment), strict=True):
                if slot is not None:
                    environment[slot] = out


def narrowest(values: Values, args: Args = ()) -> Cut | None:
    """The cut of fewest entries a point, where it has fewer than x and each point keeps to its row of it."""
    n = values.sample[0].shape[-1]
    best: Cut | None = None
    for slot, number in values.cuts():
        c = values.sample[slot]
        width = c.numel() // values.batch
        if width < n and (best is None or width < best.width) and _is_by_rows(values, slot, number, width, args):
            best = Cut(values, slot, number, width)
    return best


def _is_by_rows(values: Values, slot: int, number: int, width: int, args: Args) -> bool:
    """Whether entries of c that are taken for one point's depend on that point, and on it alone."""
    batch, c = values.batch, values.sample[slot]
    if c.numel() % batch:
        return False
    if batch == 1 or c.is_meta:
        return True
    cut = Cut(values, slot, number, width)
    with torch.enable_grad():
        _, pull, *_ = torch.func.vjp(lambda x: cut._first(x, args), values.sample[0], has_aux=True)
        for row in (0, batch - 1):
            g = c.new_zeros(batch, width)
            g[row] = torch.randn(width, dtype=c.dtype, generator=torch.Generator().manual_seed(row), device="cpu").to(
                c.device
            )
            (reached,) = pull(g.reshape(c.shape))
            touched = reached.abs().sum(1) > 0
            if not touched[row] or int(touched.sum()) != 1:
                return False
    return True
