"""Measure the harness itself: `python bench/measuring.py [known|aa|isolation|kill|phases|planned|all]`; the checks are in checks/."""

from checks.program import main

if __name__ == "__main__":
    main()
