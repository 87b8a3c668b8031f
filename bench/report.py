"""Measure the report: `python bench/report.py [large|default|all]`."""

from checks.program import main
from checks.report import CHECKS

if __name__ == "__main__":
    main(checks=CHECKS, description="Measure the report.")
