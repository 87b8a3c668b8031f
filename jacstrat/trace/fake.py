"""Tensors that have shapes and no numbers."""

from __future__ import annotations

from typing import Any

from torch._subclasses.fake_tensor import FakeTensorMode

# Results of operations that torch may remember.
MOST = 4096


def fake_mode(**options: Any) -> FakeTensorMode:
    """A mode of fake tensors, with these options of torch's.

    Torch remembers what each operation gave, by its shapes and constants, for as long as the process lives: a thousand
    functions of other constants would leave thousands. What is there beyond MOST is dropped, which costs time alone.
    """
    if len(FakeTensorMode.cache) > MOST:
        FakeTensorMode.cache_clear()
    return FakeTensorMode(allow_non_fake_inputs=True, **options)
