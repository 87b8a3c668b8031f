"""A function as a list of its operations on tensors, recorded once at each shape of its points."""

from jacstrat.tape.cache import Tapes
from jacstrat.tape.record import Untraceable, record
from jacstrat.tape.tape import Node, Slot, Tape, bound, leaves

__all__ = ["Node", "Slot", "Tape", "Tapes", "Untraceable", "bound", "leaves", "record"]
