"""The tensors that a function closes over: whatever it reads beside its arguments, by an evaluation that is watched."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from jacstrat.core.errors import UnsupportedError
from jacstrat.trace.arguments import Args, Function
from jacstrat.trace.operations import is_random
from jacstrat.zeros import called


def closed_over(f: Function, x: Tensor, args: Args = ()) -> tuple[Tensor, ...]:
    """Parameters, buffers and constants that f(x, *args) reads, each once; of tensors on any device.

    A view that f makes of one is not among them, one that it holds is.

    Raises:
        UnsupportedError: f draws random numbers.

    Cost: one evaluation of f.
    """
    with torch.enable_grad(), _Reads((x, *args)) as reads:
        f(x, *args)
    if reads.random:
        raise UnsupportedError(f"the function draws random numbers, by {reads.random}, at every call others")
    return tuple({id(tensor): tensor for tensor in reads.tensors}.values())


class _Reads(TorchDispatchMode):
    """Notes what operations are given that none of them has made."""

    def __init__(self, inputs: Args) -> None:
        super().__init__()
        self.tensors: list[Tensor] = []
        self.random = ""
        self._start = torch._C._autograd._get_sequence_nr()
        # Storages by their addresses, kept alive: an address is one only as long as its storage lives.
        self._produced = {storage._cdata: storage for storage in map(_storage, inputs) if storage is not None}
        self._read: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for leaf in tree_leaves((args, kwargs or {})):
            storage = _storage(leaf)
            if storage is None or storage._cdata in self._produced:
                continue
            # A view that f makes of a parameter has the parameter's storage and a node of this evaluation.
            if leaf.grad_fn is None or leaf.grad_fn._sequence_nr() < self._start:
                self._read.add(storage._cdata)
                self.tensors.append(leaf)
        if is_random(func):
            self.random = str(func)
        out = called(func, args, kwargs)
        for leaf in tree_leaves(out):
            if (storage := _storage(leaf)) is not None and storage._cdata not in self._read:
                self._produced[storage._cdata] = storage
        return out


def _storage(value: object) -> Any:
    """The storage of a tensor; None of what has none."""
    if not isinstance(value, Tensor) or value.layout is not torch.strided or value._is_zerotensor():
        return None
    return value.untyped_storage()
