"""Measure what the witness costs: `python bench/witness.py [first|direct|both]`.

`direct` compares with another checkout where one is named: `JACSTRAT_BASE=/path/to/checkout python bench/witness.py both`.
"""

from checks.program import main
from checks.witness import CHECKS

if __name__ == "__main__":
    main(checks=CHECKS, description="Measure what the witness costs.")
