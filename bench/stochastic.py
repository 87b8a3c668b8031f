"""Products and coverage of the stochastic strategies: `python bench/stochastic.py [--quick]`."""

import sys

from checks.estimators import estimators
from checks.figure import table

if __name__ == "__main__":
    figures = estimators(20, 4, 8) if "--quick" in sys.argv[1:] else estimators()
    print(table(figures), end="")
    sys.exit(0 if all(figure.met for figure in figures) else 1)
