"""Know your Jacobian: its pattern from the traced graph, and a colouring of it. Knows no strategy."""

from jacstrat.structure.structure import Structure, detect_structure

__all__ = ["Structure", "detect_structure"]
