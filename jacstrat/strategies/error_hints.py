"""Whatever is raised while f is differentiated, told in a line: a limit of torch, of the strategy, or f's own fault."""

from __future__ import annotations

import torch
from torch import Tensor

from jacstrat.core.errors import JacstratError, UnsupportedError, UsageError, in_words
from jacstrat.strategies.limits import limit
from jacstrat.torch_errors import is_no_error
from jacstrat.trace.arguments import Args, Function, bind
from jacstrat.trace.tracers import is_transformed


class hinted:  # noqa: N801 - called as a function is
    """Turn what is raised into an error of jacstrat's where f itself is not at fault, or is so in a known way.

    Args:
        who: The strategy at work.
        f, x, args: What it works on.

    Raises:
        UnsupportedError: f(x) raises nothing: `who` cannot differentiate it; says why.
        UsageError: f(x) raises, and the likely cause is known: it takes one point, or another number of rows, or has an
            argument of another number of them.
        What f raised: with a note that it did, else.
    """

    __slots__ = ("_args", "_f", "_who", "_x")

    def __init__(self, who: object, f: Function, x: Tensor, args: Args = ()) -> None:
        self._who, self._f, self._x, self._args = who, f, x, args

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if not isinstance(error, Exception) or isinstance(error, (JacstratError, MemoryError, torch.OutOfMemoryError)):
            return
        if is_no_error(error):
            return
        f, x = bind(self._f, self._args), self._x
        if (words := limit(error)) is not None:
            raise UnsupportedError(f"{self._who} cannot differentiate this function: {words}") from error
        error_of_f = _raised_by(f, x)
        if error_of_f is None:
            words = in_words(error)[:300]
            raise UnsupportedError(f"{self._who} cannot differentiate this function: {words}") from error
        if cause := _cause(f, x) or _cause_of(self._args, x):
            raise UsageError(
                f"f raises {in_words(error_of_f)[:200]} for x of shape {tuple(x.shape)}; {cause}"
            ) from error
        error.add_note(f"f itself raises this for x of shape {tuple(x.shape)}, whatever the strategy")


def _raised_by(f: Function, x: Tensor) -> Exception | None:
    """What f raises at x by itself."""
    if torch.compiler.is_compiling() or is_transformed():
        return None
    try:
        with torch.no_grad():
            f(x.detach())
    except Exception as error:
        return error
    return None


def _cause(f: Function, x: Tensor) -> str:
    """Why f cannot take x, where it can take something like it."""
    if x.dim() == 2 and len(x) and _takes_a_point(f, x[0]):
        return "it takes one point and not a batch: give torch.func.vmap(f)"
    for rows in sorted(_rows_held(f)):
        if x.dim() == 2 and rows != len(x) and _raised_by(f, x.new_zeros(rows, x.shape[-1])) is None:
            return f"it takes {rows} rows, as many as a tensor that it holds has: give as many points"
    return ""


def _cause_of(args: Args, x: Tensor) -> str:
    """Which argument may be at fault: a tensor of another number of rows than x has."""
    for number, arg in enumerate(args):
        if isinstance(arg, Tensor) and arg.dim() > 0 and x.dim() > 1 and len(arg) not in (1, len(x)):
            return (
                f"args[{number}] has shape {tuple(arg.shape)}, which is not of the rows of x: give it {len(x)} rows, "
                "or a leading axis of 1"
            )
    return ""


def _takes_a_point(f: Function, point: Tensor) -> bool:
    """Whether f gives a number, or a vector of as many, for one point."""
    try:
        with torch.no_grad():
            y = f(point.detach())
    except Exception:
        return False
    return isinstance(y, Tensor) and y.shape in ((), point.shape)


def _rows_held(f: Function) -> set[int]:
    """Lengths of the first axes of tensors that f closes over, or has as globals."""
    scope, code = getattr(f, "__globals__", {}), getattr(f, "__code__", None)
    globals_read = [scope.get(name) for name in (code.co_names if code else ())]
    for cell in getattr(f, "__closure__", None) or ():
        try:
            globals_read.append(cell.cell_contents)
        except ValueError:  # empty yet
            continue
    return {len(tensor) for tensor in globals_read if isinstance(tensor, Tensor) and tensor.dim() > 0}
