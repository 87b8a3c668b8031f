"""Measure `auto` against the fastest exact strategy: `python bench/auto.py [--quick]`, see checks/auto.py."""

from checks.auto import main

if __name__ == "__main__":
    main()
