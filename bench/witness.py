"""Measure what the witness costs: `python bench/witness.py [first|direct|both]`.

Where JACSTRAT_BASE names another checkout, `direct` compares with the direct calls of that one, in turns.
"""

from checks.program import main
from checks.witness import CHECKS

if __name__ == "__main__":
    main(checks=CHECKS, description="Measure what the witness costs.")
