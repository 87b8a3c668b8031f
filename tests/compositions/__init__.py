"""Random compositions of torch's operations: every strategy against plain reverse mode."""
