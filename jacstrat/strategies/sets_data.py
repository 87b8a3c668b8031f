"""Functions that set `.data` of a tensor, as `module.to(device)` within f does, also where nothing is to change."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from jacstrat.strategies.checked import wrapping
from jacstrat.trace.arguments import Function
from jacstrat.trace.tracers import Watch, has_modes, is_transformed


class DataSets(Watch):
    """Sees that `.data` is set, and keeps transforms of torch.func and modes, as that of fake tensors, from it.

    Such a one would leave a tensor of its own there, and who reads that later may end the process. What sets a tensor
    to itself is left out; anything else is refused.

    Attributes:
        seen: It was.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func == Tensor.data.__set__:  # type: ignore[attr-defined]
            self.seen = True
            tensor, data = args
            if _unwrapped(data) is tensor:
                return None
            if is_transformed() or has_modes():
                raise RuntimeError("f sets .data of a tensor, as module.to() does, which plain autograd alone follows")
        return func(*args, **(kwargs or {}))


def kept_from_data(f: Function) -> Function:
    """f, which sets `.data` of tensors, for transforms of torch.func and for modes.

    Raises, when called:
        RuntimeError: It sets one to something else there.
    """

    def function(x: Tensor, *args: Any) -> Tensor:
        with DataSets():
            return f(x, *args)

    return wrapping(function, f)


def _unwrapped(tensor: Tensor) -> Tensor:
    functorch = torch._C._functorch
    while functorch.is_functorch_wrapped_tensor(tensor):
        tensor = functorch.get_unwrapped(tensor)
    return tensor
