"""Measure sweeps past one machine: `python bench/scale.py [throughput|kills|merging|planning|model|all]`."""

from checks.program import main
from checks.scale import CHECKS

if __name__ == "__main__":
    main(checks=CHECKS, description="Measure sweeps past one machine.")
