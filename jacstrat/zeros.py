"""Efficient zeros under a dispatch mode: forward mode's tangents that are known to be zero, and have no storage.

torch marks such a tensor by the dispatch key ZeroTensor, at which each operation has a rule: some answer with another
efficient zero (a product), most are given real zeros. A few have none there, since they call an operation that has:
`mul.Scalar` is `mul.Tensor` within. A mode is called below that key, and all keys above the mode are left out while it
calls the operation itself; the operation within then misses its rule, and its kernel reads storage that is not there:
the process ends with a segmentation fault. So the key is put back where an argument is such a zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

_ZERO = torch._C.DispatchKeySet(torch._C.DispatchKey.ZeroTensor)


def called(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None) -> Any:
    """func(*args, **kwargs) from within `__torch_dispatch__` of a mode, with torch's own rules for efficient zeros.

    What comes out is what comes out without the mode, efficient zeros included, and nothing is computed beside it.
    """
    if not any(tensor._is_zerotensor() for tensor in tensors_in(args, kwargs)):
        return func(*args, **(kwargs or {}))
    include, exclude = torch._C._dispatch_tls_local_include_set(), torch._C._dispatch_tls_local_exclude_set()
    with torch._C._ForceDispatchKeyGuard(include, exclude - _ZERO):
        return func(*args, **(kwargs or {}))


def tensors_in(*trees: Any) -> list[Tensor]:
    """The tensors among what an operation takes or gives: alone, or in tuples, lists and dicts.

    torch's pytree finds the same, and more; it takes as long as the operation itself.
    """
    tensors: list[Tensor] = []
    for tree in trees:
        if isinstance(tree, Tensor):
            tensors.append(tree)
        elif isinstance(tree, tuple | list):
            tensors += tensors_in(*tree)
        elif isinstance(tree, dict):
            tensors += tensors_in(*tree.values())
    return tensors
