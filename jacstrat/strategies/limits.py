"""What torch cannot do with a function: its errors, each told in one line that names the operation."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from jacstrat.core.errors import MOST_SEARCHED, UnsupportedError, message_of

# What torch says when a transform cannot pass an operation: a limit of the strategy, no fault of f. Beside it what is
# said here, {} standing for the operation that the pattern captures, or for the autograd.Function at work.
_EXPLAINED_LIMITS = (
    (r"must override the setup_context", "{} has no setup_context, without which torch.func cannot pass it"),
    (r"tried to vmap over \S+, but it does not have vmap", "{} has no vmap rule; set generate_vmap_rule = True in it"),
    (r"must implement the jvp function for custom", "{} has no jvp, the rule of forward mode"),
    (r"[Tt]rying to use forward AD with (\S+) that does not support it", "{} has no forward-mode rule in torch"),
    (r"derivative for '?([\w:.]+?)'? is not implemented", "{} has no derivative in torch"),
    (r"dynamic shape\. Attempted to vmap over (\S+)", "vmap: {} has a result whose shape depends on values"),
    (r"Batching rule not implemented for (\S+?)[.;,]?\s", "vmap: {} has no batching rule in torch"),
    (
        r"calling \.item\(\) on a Tensor",
        "vmap: f asks a tensor for its number, by .item() or an if, which has no batching rule; use torch.where",
    ),
    (
        r"vmap: (.+?)\(self, \*extra_args\) is not possible",
        "vmap: {} writes into a tensor that does not depend on x, in f or in torch; use torch.stack or torch.cat",
    ),
    (
        r"output with shape .* doesn't match the broadcast shape",
        "vmap: f or torch writes in place into a tensor that does not depend on x; use torch.stack or torch.cat",
    ),
    (r"called random operation", "vmap: random numbers are drawn in it; draw none in f, or give vmap a randomness"),
    (r"call Tensor\.requires_grad_\(\)", "f calls requires_grad_(), which torch.func refuses; use torch.func.grad"),
    (
        r"saved tensor hooks",
        "a checkpoint, in f or around the call, saves by hooks, which torch.func refuses",
    ),
    (r"data pointer of Tensor that doesn't have storage", "f reads the numbers of a tensor, as by .numpy()"),
)
# The same, told by torch's own first two sentences.
_KNOWN_LIMITS = (
    r"[Bb]atching rule not implemented",
    r"does not support.{0,40}vmap",
    r"vmap: ",
    r"forward AD|forward-mode AD|jvp is not implemented",
    r"must override the .{0,20}(vmap|jvp)",
    r"inside of a function being transformed",
    r"in-place operation .*functorch|mutat\w+ .*captured",
    r"during a (grad|vmap|vjp|jvp)",
)


def limit(error: BaseException) -> str | None:
    """What torch could not do, in one line that names the operation; None where the error is something else."""
    if not isinstance(error, RuntimeError) or isinstance(error, torch.OutOfMemoryError):
        return None
    text = message_of(error, MOST_SEARCHED)
    for pattern, words in _EXPLAINED_LIMITS:
        if match := re.search(pattern, text):
            return words.format(match[1].rstrip(".,;") if match.groups() else _custom(error))
    if re.search("|".join(_KNOWN_LIMITS), text):
        return ". ".join(text.split(". ")[:2]).removesuffix(".")
    return None


@contextmanager
def within_limits(who: object) -> Iterator[None]:
    """Turn torch's limits into UnsupportedError: "`who` cannot differentiate this function: ...".

    Raises:
        UnsupportedError: In place of torch's error; any other error goes through.
    """
    try:
        yield
    except RuntimeError as error:
        if (words := limit(error)) is None:
            raise
        raise UnsupportedError(f"{who} cannot differentiate this function: {words}") from error


def _custom(error: BaseException) -> str:
    """The name of the autograd.Function that raised, where it was one: torch's message may leave it out."""
    apply = torch.autograd.Function.apply.__func__  # type: ignore[attr-defined]
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code is apply.__code__:
            return f"autograd.Function {frame.f_locals['cls'].__name__}"
    return "a custom autograd.Function"
