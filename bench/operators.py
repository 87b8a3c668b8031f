"""Measure what the operators cost: `python bench/operators.py [together|coordinates|flow|plate] [--quick]`."""

from checks.operators import CHECKS
from checks.program import main

if __name__ == "__main__":
    main(checks=CHECKS, description="Measure what the operators cost.")
