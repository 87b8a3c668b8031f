"""Which strategy serves what, and by how many passes: the table of docs/operators.md, counted.

python -m tests.strategies.served > docs/operators.md
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from jacstrat import JacstratError, Operator, parse_operator, parse_strategy
from jacstrat.core.errors import in_words
from jacstrat.measure.counters import count
from jacstrat.strategies import STRATEGIES, default_strategies

HEAD = Path(__file__).with_name("operators_head.md")
N, B, HIDDEN = 12, 4, 16
_generator = torch.Generator().manual_seed(0)
W = torch.randn(HIDDEN, N, generator=_generator, dtype=torch.float64) / 4
V = torch.randn(N, HIDDEN, generator=_generator, dtype=torch.float64) / 4
X = torch.randn(B, N, generator=_generator, dtype=torch.float64)
RANK_ONE = torch.outer(V[:, 0], V[:, 0])


def field(x: Tensor) -> Tensor:
    return (x @ W.mT).tanh() @ V.mT


def scalar(x: Tensor) -> Tensor:
    return (x @ W.mT).tanh().sum(-1)


def outputs(x: Tensor) -> Tensor:
    return (x @ W.mT).tanh()[..., :3]


def _weighed(spec: str, weight: Any) -> Operator:
    operator = parse_operator(spec)
    return Operator(operator.name, operator.kind, operator.order, operator.reduce, weight=weight)


# What is asked for, by the head of its column.
ASKED: Mapping[str, tuple[Operator, Callable[[Tensor], Tensor]]] = {
    "div": (parse_operator("divergence"), field),
    "div over 2": (parse_operator("divergence:coordinates=0+1"), field),
    "tr(A J), rank 1": (_weighed("divergence", RANK_ONE), field),
    "diag J": (parse_operator("jacobian_diagonal"), field),
    "lap": (parse_operator("laplacian"), scalar),
    "lap over 2": (parse_operator("laplacian:coordinates=0+1"), scalar),
    "tr(A H), rank 1": (_weighed("laplacian", RANK_ONE), scalar),
    "tr(A(x) H)": (_weighed("laplacian", torch.exp), scalar),
    "lap of 3 outputs": (parse_operator("laplacian"), outputs),
    "diag H": (parse_operator("hessian_diagonal"), scalar),
    "bilap over 2": (parse_operator("bilaplacian:coordinates=0+1"), scalar),
}
SPECS = tuple(name for name in default_strategies() if name != "auto")


def cell(spec: str, head: str) -> tuple[str, str]:
    """What is done for one point, in passes through f; where it is refused why, behind it."""
    operator, f = ASKED[head]
    strategy = parse_strategy(spec)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            passes = strategy.prepare(operator, f, X).contraction.passes
            if passes is not None:
                return f"{passes.jvp_products} t", ""

            def make(f: Callable[[Tensor], Tensor]) -> Callable[[], object]:
                prepared = strategy.prepare(operator, f, X)
                prepared(X)
                return lambda: prepared(X)

            counts = count(make, f, X)
    except JacstratError as error:
        return "-", re.sub(r"^.*?cannot serve the \w+: ", "", in_words(error)).removeprefix(f"{spec} ")
    found = [f"{number} {name}" for number, name in ((counts.vjp_products, "V"), (counts.jvp_products, "J")) if number]
    return " + ".join(found) or f"{counts.f_evaluations} f", ""


def row(spec: str) -> tuple[str, str]:
    """A row of the table, and the line of its reasons, "" where it refuses nothing."""
    found = {head: cell(spec, head) for head in ASKED}
    reasons: dict[str, list[str]] = {}
    for head, (_, why) in found.items():
        if why:
            reasons.setdefault(why, []).append(head)
    told = "; ".join(f"{', '.join(heads)}: {why}" for why, heads in reasons.items())
    return f"| `{spec}` | {' | '.join(text for text, _ in found.values())} |", f"- `{spec}`: {told}" if told else ""


def page() -> Iterator[str]:
    """The page, line by line."""
    yield from HEAD.read_text(encoding="utf-8").rstrip().split("\n")
    yield ""
    yield f"| strategy | {' | '.join(ASKED)} |"
    yield f"|---|{'---|' * len(ASKED)}"
    rows = [row(spec) for spec in SPECS]
    yield from (line for line, _ in rows)
    yield ""
    yield from (told for _, told in rows if told)


def main() -> None:
    assert set(SPECS) <= set(STRATEGIES)
    torch.set_num_threads(1)
    for line in page():
        sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
