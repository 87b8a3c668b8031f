"""The command line: thin, and quick to answer, since torch is imported by what a command needs and not before.

A file a command; each adds itself to `app`, in the order in which the help lists them.
"""

from jacstrat.cli import run, plan, advise, report, compare, history, merge, listing  # noqa: F401, I001
from jacstrat.cli.app import app, main

__all__ = ["app", "main"]
