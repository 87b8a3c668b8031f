"""A function traced, as a list of its operations or as a graph of them, once at each shape of its points."""

from jacstrat.trace.cache import Tapes
from jacstrat.trace.record import Untraceable, record
from jacstrat.trace.tape import Node, Slot, Tape, bound, leaves

__all__ = ["Node", "Slot", "Tape", "Tapes", "Untraceable", "bound", "leaves", "record"]
