"""Measure the kernels of `fused` on a card: `python bench/fused.py [--out DIR] [--quick]`, see checks/fused.py."""

from checks.fused import main

if __name__ == "__main__":
    main()
