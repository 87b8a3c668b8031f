"""Measure what knowing the structure is worth: `python bench/structure.py [coloring|detection|all]`."""

from checks.program import main
from checks.structure import CHECKS

if __name__ == "__main__":
    main(checks=CHECKS, description="Measure what knowing the structure is worth.")
