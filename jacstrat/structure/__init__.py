"""Know your Jacobian: its pattern from the traced graph, and a colouring of it. Knows no strategy."""

from jacstrat.structure.structure import Structure, detect_structure, prove_structure
from jacstrat.trace.graph import UntracedError

__all__ = ["Structure", "UntracedError", "detect_structure", "prove_structure"]
