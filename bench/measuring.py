"""Measure the harness itself: `python bench/measuring.py [CHECK]`; the checks are in checks/."""

from checks.program import main

if __name__ == "__main__":
    main()
