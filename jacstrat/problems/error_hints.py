"""What an exception of f means: one line with what raised, where, and what to do about it."""

from __future__ import annotations

import math
import re
import sysconfig
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from jacstrat.core.errors import (
    MOST_SEARCHED,
    JacstratError,
    ShapeError,
    UnsupportedError,
    UsageError,
    in_words,
    message_of,
)
from jacstrat.problems.arguments import taken
from jacstrat.problems.introspection import inputs, mixing
from jacstrat.torch_errors import is_not_implemented, is_out_of_memory

Function = Callable[..., Tensor]
# Code that f calls, whose lines say nothing to the one who wrote f.
_ELSEWHERE = (str(Path(torch.__file__).parent), str(Path(__file__).parents[1]), sysconfig.get_path("stdlib"))
# Sizes to try on f, where it rejects the n of x.
_MOST_TRIES = 6

# What torch and Python say, and what to do about it.
_REMEDIES = (
    (r"leaf Variable that requires grad", "f changes x in place; let it work on a copy, x = x.clone()"),
    (r"modified by an inplace operation", "f changes in place what its derivative needs; write y = y + 1, not y += 1"),
    (
        r"Can't call numpy\(\)|can't convert \S+ device type tensor to numpy",
        "f leaves torch for numpy, which has no derivative; write it with torch's functions",
    ),
    (
        r"one element tensors can be converted|elements cannot be converted to Scalar|must be real number, not Tensor",
        "f makes a Python number of a tensor; write it with torch's functions, torch.sin and not math.sin",
    ),
    (r"Boolean value of Tensor", "f asks whether a whole batch is true; choose row by row, with torch.where"),
    (
        r"missing \d+ required (positional|keyword-only) argument|takes \d+ positional argument|takes no arguments",
        "f must take {taken}; bind what else it needs in a function of x, or in a factory whose one parameter is n",
    ),
    (
        r"same device|not on the expected device|on the meta device|[Ee]xpected .* device",
        "f holds tensors on another device than x; make them on x.device, or name the nn.Module, which is moved",
    ),
    (
        r"same dtype|expected scalar type|dtype mismatch|[Ii]nput type .* and (weight|bias) type",
        "f holds tensors of another dtype than x, {dtype}; name the nn.Module, which is copied to it, or give --dtype",
    ),
)
_SHAPES = r"shape|size|dimension|out of bounds|out of range|normalized_shape|should contain \d+ elements"


def explained(error: Exception, f: Function, x: Tensor, args: tuple[Any, ...] = ()) -> Exception:
    """What to raise in place of an exception of f(x, *args): its fault in one line, or itself where that says all."""
    text = message_of(error, MOST_SEARCHED)
    if isinstance(error, JacstratError) or is_out_of_memory(error):
        return error
    if is_not_implemented(error):
        return UnsupportedError(text)
    words, line = in_words(error), _line_of_f(error)
    said = f"{line}: {words.split('. ')[0]}".removeprefix(": ")
    if "more than 1 value per channel when training" in text and (layer := mixing(f)):
        return UsageError(f"{layer} is in training mode, where it mixes the rows of x; call .eval() on it")
    for pattern, remedy in _REMEDIES:
        if re.search(pattern, text):
            dtype = str(x.dtype).removeprefix("torch.")
            more = f"x and {len(args)} argument{'s' * (len(args) > 1)}, as @problem(arguments=...) gives"
            return UsageError(f"{remedy.format(dtype=dtype, taken=more if args else 'x alone')} ({said})")
    if re.search(_SHAPES, text) and (n := _other_n(text, lambda z: f(z, *taken(args, len(x), [0] * len(z))), x, f)):
        return ShapeError(f"f takes n = {n}, and x has n = {x.shape[-1]}; give -n {n} ({said})")
    return UsageError(f"{words} ({line})" if line else words)


def takes(f: Function, x: Tensor) -> bool:
    """Whether f gives a tensor for x, whatever its shape."""
    try:
        with torch.no_grad():
            return isinstance(f(x), Tensor)
    except Exception:
        return False


def _other_n(text: str, f: Function, x: Tensor, function: object) -> int | None:
    """An n that f takes, of those that the layers it holds or the message of its error suggest; each is tried."""
    n = x.shape[-1]
    numbers = [int(number) for number in re.findall(r"\d+", text)]
    if "out of" in text:
        numbers = [number + 1 for number in numbers]
    if shape := re.search(r"shape '\[(.+?)\]'", text):
        # A view of each row as so many by so many numbers.
        sizes = [int(size) for size in shape[1].split(", ")][1:]
        numbers.insert(0, abs(math.prod(sizes)))
    suggested = dict.fromkeys(m for m in (*inputs(function), *numbers) if m != n and 0 < m < 10**5)
    return next((m for m in list(suggested)[:_MOST_TRIES] if takes(f, x.new_ones(2, m))), None)


def _line_of_f(error: Exception) -> str:
    """Where the user's own code raised it, as "model.py, line 12"; "" where none of it did."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((*_ELSEWHERE, "<"))
    ]
    return f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
