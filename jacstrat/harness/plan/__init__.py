"""What is to be measured, and what it would take: cells, sweeps, forecasts, costs."""
