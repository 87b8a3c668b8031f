"""Measure the harness itself: `python bench/measuring.py [CHECK]`, all unless one is named; they are in checks/."""

from checks.program import main

if __name__ == "__main__":
    main()
