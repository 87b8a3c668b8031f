"""`python -m jacstrat`."""

from jacstrat.cli import main

main()
