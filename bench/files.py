"""Call commands on changed files, 2000 of them: `python bench/files.py [files|all]`."""

from checks.files import CHECKS
from checks.program import main

if __name__ == "__main__":
    main(checks=CHECKS, description="Call commands on changed files.")
