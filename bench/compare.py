"""Measure what `jacstrat compare` finds, and how long it takes: `python bench/compare.py [found|speed|apart|all]`."""

from checks.compare import CHECKS
from checks.program import main

if __name__ == "__main__":
    main(checks=CHECKS, description="Measure what comparisons find, and their own time.")
