"""The command line: thin, and quick to answer, since torch is imported by what a command needs and not before.

A file a command; each adds itself to `app`, in the order in which the help lists them.
"""

import warnings

from jacstrat.cli import advise, compare, compare_rev, history, listing, merge, plan, report, run  # noqa: F401
from jacstrat.cli.app import app, main

__all__ = ["app", "main"]

# Torch's own, as of its jit: `python -W error` would make errors of them, and nobody here could do anything about it.
warnings.filterwarnings("ignore", module=r"torch\b")
