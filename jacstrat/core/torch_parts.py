"""What torch imports when a transform or a trace is first used: seconds, once a process."""

from __future__ import annotations

import importlib
import sys
import warnings

PARTS = (
    "torch._decomp.decompositions_for_jvp",
    "torch._dynamo",
    "torch.fx.experimental.symbolic_shapes",
)


def import_torch_parts() -> None:
    """Have torch import these now, before a time is taken that would hold theirs.

    Not when this package is imported: who reads a directory of results, or asks for help, waits for nothing.
    """
    if all(part in sys.modules for part in PARTS):
        return
    with warnings.catch_warnings():  # what torch says of its own modules is no error of f where warnings are errors
        warnings.simplefilter("ignore")
        for part in PARTS:
            importlib.import_module(part)
