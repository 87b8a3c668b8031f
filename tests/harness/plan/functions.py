"""Functions that are predicted badly, or not at all, or in tiles. Loaded by the harness from this file, by path."""

from __future__ import annotations

import torch

from tests.harness.functions import in_transform

W = torch.ones(3, 3)


def holds_weights(x):
    return x @ W.to(x.dtype)


def makes_a_cpu_tensor(x):
    return x * torch.arange(x.shape[-1])


def asks_for_a_value(x):
    return x * x.sum().item()


def branches_on_a_value(x):
    return x if bool((x > 0).all()) else -x


def makes_a_number(x):
    return x * torch.tensor(2.0)


def raises(x):
    raise ValueError("mine,\nover two lines " + "and more " * 100)


def raises_in_transform(x):
    if in_transform():
        raise ValueError("mine")
    return torch.sin(x)


def exits(x):
    raise SystemExit(5)


def hides_errors(x):
    try:
        for _ in range(100):
            x = torch.sin(x)
    except Exception:
        return x * 2
    return x


def never_on_data_in_transform(x):
    assert x.is_meta or not in_transform()
    return torch.sin(x)


def three_hidden(x):
    W = torch.ones(x.shape[-1], x.shape[-1], dtype=x.dtype, device=x.device)
    return torch.tanh(torch.tanh(torch.tanh(x @ W) @ W) @ W) @ W


def unpredictable(attribute: str) -> str:
    """The spec of a function of this file."""
    return f"{__file__}:{attribute}"
