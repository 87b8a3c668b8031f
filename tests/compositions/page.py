"""The page of operations: by which strategies each is served, which refuse it, and why.

python -m tests.compositions.page > docs/operations.md
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from jacstrat import JacstratError, parse_strategy
from jacstrat.core.errors import in_words
from tests.compositions.operations import OPERATIONS, Draw, Event, Operation, numel

LAPLACIAN = ("vmap", "jvp", "forward_over_forward", "hessian", "taylor")
DIVERGENCE = ("vmap", "jvp", "coloring", "chain")
EVENTS: tuple[Event, ...] = ((4,), (6,), (2, 2), (2, 3), (3, 3), (3, 2), (1, 4), (4, 1), (1,), (9,), (2, 2, 2))
SEED, BATCH = 7, 3
RIGHT, VALUE, REFUSED = "right", "value", "-"

HEAD = f"""# Operations by strategy

What torch's operations do under the strategies, one function of each: a gain, the operation, and a sum or a projection
behind it, in float64, torch {torch.__version__.partition("+")[0]}. `right`: value and gradient agree with the
[witness](witness.md); `value`: the value does, and the gradient of what f holds is refused; `-`: refused, with the
reason below the table. Made by `python -m tests.compositions.page`, and checked by a test.

| operation | {" | ".join(f"`{spec}`" for spec in LAPLACIAN)} | {" | ".join(f"`{spec}`" for spec in DIVERGENCE)} |
|---|{"---|" * (len(LAPLACIAN) + len(DIVERGENCE))}
| | {"Laplacian | " * len(LAPLACIAN)}{"divergence | " * len(DIVERGENCE)}
"""


def functions(operation: Operation) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor], Tensor]:
    """A scalar and a field with the operation in them, and points for both."""
    event = next(event for event in EVENTS if operation.fits(event))
    draw, n = Draw(SEED), numel(event)
    gain, drawn = draw.positive(n), operation.draw(draw, event)
    x = 0.5 * draw.constant(BATCH, n)

    def inner(x: Tensor) -> Tensor:
        return operation.function((gain * x).reshape(-1, *event), **drawn).flatten(1)

    with torch.no_grad():
        width = inner(x).shape[-1]
    weight, matrix = draw.constant(width), draw.constant(width, n)
    return lambda x: (inner(x) * weight).sin().sum(-1), lambda x: inner(x).sin() @ matrix, x


def cells(operation: Operation) -> tuple[list[str], dict[str, list[str]]]:
    """What each strategy does, and the reasons of those that do not all."""
    scalar, field, x = functions(operation)
    found: list[str] = []
    reasons: dict[str, list[str]] = {}
    for operator, f, specs in (("laplacian", scalar, LAPLACIAN), ("divergence", field, DIVERGENCE)):
        for spec in specs:
            cell, why = _tried(operator, f, x, spec)
            found.append(cell)
            if why:
                reasons.setdefault(why, []).append(spec)
    return found, reasons


def _tried(operator: str, f: Callable[[Tensor], Tensor], x: Tensor, spec: str) -> tuple[str, str]:
    strategy = parse_strategy(spec)
    try:
        with torch.enable_grad():
            strategy.prepare(operator, f, x)
        return RIGHT, ""
    except JacstratError as error:
        why = _shown(error, spec)
    try:
        with torch.no_grad():
            strategy.prepare(operator, f, x)
    except JacstratError as error:
        return REFUSED, _shown(error, spec)
    return VALUE, why


def _shown(error: JacstratError, spec: str) -> str:
    """A reason without numbers, which differ between machines."""
    text = in_words(error).removeprefix(f"{spec} ")
    text = re.sub(r"\b(off|by) [\d.e+-]+", r"\1 some", text.partition("; use")[0]).replace("|", r"\|")
    return re.sub(r"\s+", " ", re.sub(r"\d[\d.e+-]*", "#", text))[:110].strip()


def row(operation: Operation) -> tuple[str, str]:
    """A row of the table, and the line of its reasons, "" where there are none."""
    found, reasons = cells(operation)
    line = f"| `{operation.name}` | {' | '.join(found)} |"
    told = "; ".join(f"{', '.join(dict.fromkeys(specs))}: {why}" for why, specs in reasons.items())
    return line, f"- `{operation.name}`: {told}" if told else ""


def page() -> Iterator[str]:
    """The page, line by line."""
    yield from HEAD.rstrip().split("\n")
    rows = [row(operation) for operation in OPERATIONS.values()]
    yield from (line for line, _ in rows)
    yield ""
    yield from (told for _, told in rows if told)


def main() -> None:
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    for line in page():
        sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
