"""Measure `jacstrat compare --rev`: `python bench/compare_rev.py [--tries N]`, see checks/revisions.py."""

from checks.revisions import main

if __name__ == "__main__":
    main()
