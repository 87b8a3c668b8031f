"""What is known of the slots of a tape before they have numbers: shapes, supports, and the values of indices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from jacstrat.taylor.node import TaylorNode
from jacstrat.trace import Slot, bound, leaves
from jacstrat.trace.arguments import Args
from jacstrat.trace.operations import is_random

# Values and supports of more numbers are not followed.
MOST = 2**22


class AbstractValue(NamedTuple):
    """What is known of a slot that depends on x.

    Fields:
        shape: Of the value.
        support: None where it has the n directions.
        is_point: Whether it is x itself, which is either.
    """

    shape: torch.Size
    support: Tensor | None
    is_point: bool = False

    @property
    def known(self) -> Tensor:
        """The support, where there is one."""
        assert self.support is not None
        return self.support


class AbstractValues:
    """Those of all slots of a tape, filled operation by operation.

    Fields:
        slots: By slot an AbstractValue, or where it does not depend on x its value, if that may be an index; None for
            what is not known.
        shapes: By slot.
        guards: Constants, by their number, whose values were looked at, as they are now: indices on the CPU.

    Args:
        x: Points like those that the tape is for.
        args: Further arguments of the function, whose numbers nothing depends on.
        size: Slots of the tape.
        constants: Tensors behind these slots.
    """

    def __init__(self, x: Tensor, args: Args, size: int, constants: Sequence[Tensor]) -> None:
        self.size = size
        self.guards: dict[int, Tensor] = {}
        n = x.shape[-1]
        # Followed on the CPU wherever x is: these are many operations, on little.
        coordinates = torch.arange(1, n + 1, device="cpu").view((1,) * x.dim() + (n,))
        point = AbstractValue(x.shape, coordinates, is_point=True)
        self.slots: list[Any] = [point, *(None,) * (size - 1), *constants]
        self.shapes: dict[int, torch.Size] = {size + number: one.shape for number, one in enumerate(constants)}
        tensors = [arg for arg in args if isinstance(arg, Tensor)]
        self.shapes.update({1 + number: arg.shape for number, arg in enumerate(tensors)})

    def of(self, node: TaylorNode) -> dict[int, AbstractValue]:
        """The arguments of a node that depend on x, by slot."""
        values = {slot: self.slots[slot] for slot in node.slots}
        return {slot: value for slot, value in values.items() if isinstance(value, AbstractValue)}

    def depends(self, argument: Any) -> bool:
        """Whether an argument depends on x."""
        return any(
            isinstance(leaf, Slot) and isinstance(self.slots[leaf.index], AbstractValue) for leaf in leaves(argument)
        )

    def note(self, node: TaylorNode, supports: Sequence[Tensor | None]) -> None:
        """What a node that depends on x gives."""
        self._note_shapes(node)
        for slot, shape, support in zip(node.outs, node.shapes, supports, strict=True):
            if slot is not None:
                self.slots[slot] = AbstractValue(shape, support)

    def evaluate(self, node: TaylorNode) -> None:
        """Note what a node gives that does not depend on x, where it makes an index."""
        self._note_shapes(node)
        if is_random(node.op) or self.of(node) or node.numel > MOST or not self.look_at(node.slots):
            return
        kwargs = {key: bound(item, self.slots) for key, item in node.kwargs.items()}
        if "device" in kwargs:
            kwargs["device"] = torch.device("cpu")
        out = node.op(*bound(node.args, self.slots), **kwargs)
        for slot, value in zip(node.outs, out if node.is_tuple else (out,), strict=True):
            if slot is not None and isinstance(value, Tensor) and not value.is_floating_point():
                self.slots[slot] = value

    def look_at(self, slots: Iterable[int]) -> bool:
        """Whether the values of slots may be used; those of constants, which may be written to, are guarded then."""
        return all(map(self._look_at, slots))

    def _look_at(self, slot: int) -> bool:
        value = self.slots[slot]
        if not isinstance(value, Tensor) or value.is_floating_point() or value.numel() > MOST:
            return False
        if slot >= self.size:
            if value.device.type != "cpu":  # where a comparison would wait for the device
                return False
            self.guards.setdefault(slot - self.size, value.clone())
        return True

    def _note_shapes(self, node: TaylorNode) -> None:
        self.shapes.update(
            {slot: shape for slot, shape in zip(node.outs, node.shapes, strict=True) if slot is not None}
        )
