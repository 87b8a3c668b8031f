"""jacstrat's side: strategies through the public API."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from functions import FUNCTIONS
from protocol import Settings, Work, serve

from jacstrat import UsageError, parse_strategy


def settings(request: dict[str, Any], arrays: dict[str, np.ndarray]) -> Settings:
    """The strategies that the request names."""
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    x = tensors.pop("x")
    f = partial(FUNCTIONS[request["kind"]], **tensors)

    def make(spec: str) -> Work:
        prepared = parse_strategy(spec).prepare("laplacian", f, x)
        return lambda: prepared(x)

    return {spec: partial(make, spec) for spec in request["strategies"] if _is_there(spec)}


def _is_there(spec: str) -> bool:
    try:
        parse_strategy(spec)
    except UsageError:
        return False
    return True


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    taken: Callable[..., Settings] = settings
    serve(taken, {"jacstrat": version("jacstrat"), "torch": torch.__version__})
