"""Clocks, sampling, memory, counters, accuracy and the environment. Knows no strategy and no problem."""
