"""The device that tensors without data stand for: a card that is planned for is followed on torch's meta device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol

META = "meta"


class Device(Protocol):
    """A torch.device, as far as it is asked here."""

    @property
    def type(self) -> str: ...


@dataclass(frozen=True)
class ModelledDevice:
    """What tensors on the meta device stand for.

    Fields:
        kind: The type of the device, such as "cuda".
        free_bytes: Memory that it has free; None where nobody says.
    """

    kind: str = "cpu"
    free_bytes: int | None = None


CPU = ModelledDevice()
_MODELLED: ContextVar[ModelledDevice] = ContextVar("modelled device", default=CPU)


@contextmanager
def modelling(device: ModelledDevice) -> Iterator[None]:
    """Within it tensors on the meta device stand for that one; outside for a CPU."""
    token = _MODELLED.set(device)
    try:
        yield
    finally:
        _MODELLED.reset(token)


def modelled() -> ModelledDevice:
    """What tensors on the meta device stand for here."""
    return _MODELLED.get()


def kind_of(device: Device) -> str:
    """The type of a device; of the meta device that of the one it stands for."""
    return _MODELLED.get().kind if device.type == META else device.type
