"""Measure the targets of docs/performance.md: `python bench/frontier.py [PART]...`, see checks/frontier.py."""

from checks.frontier import main

if __name__ == "__main__":
    main()
