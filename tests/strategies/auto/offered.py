"""The table of what `auto` chooses among, from the candidates that strategies declare.

python -m tests.strategies.auto.offered
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from jacstrat import OPERATORS, STRATEGIES, detect_structure
from jacstrat.strategies.auto.candidates import Evidence
from jacstrat.strategies.auto.counting import evaluation, product_costs
from jacstrat.strategies.base import Function, Strategy, form
from jacstrat.strategies.workload import Workload

N, BATCH = 16, 8


@dataclass(frozen=True)
class Situation:
    """What somebody asks of `auto`.

    Fields:
        words: At the head of its column.
        operator: Its name.
        function: A maker of the function.
        proved: A trace proves the structure of its matrix.
        compiles: With `auto:compile=true`.
    """

    words: str
    operator: str
    function: Callable[[], Function]
    proved: bool = False
    compiles: bool = False

    def evidence(self) -> Evidence:
        """What `auto` knows before it times anything."""
        operator, f = OPERATORS[self.operator], self.function()
        x = torch.linspace(0.1, 0.9, BATCH * N, dtype=torch.float64).reshape(BATCH, N)
        with torch.set_grad_enabled(self.words.endswith("training")):
            workload = Workload.of(f, x)
        work = evaluation(f, x).work
        known = Evidence(operator, x, product_costs(operator, work), work, workload, compiles=self.compiles)
        return replace(known, structure=detect_structure(f, x, self.operator)) if self.proved else known


def field() -> Function:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(N, N), torch.nn.Tanh(), torch.nn.Linear(N, N)).double()


def scalar() -> Function:
    net = field()
    return lambda x: net(x).sum(-1)


def neighbours(x: Tensor) -> Tensor:
    return torch.sin(x) * torch.cat((x[..., 1:], x[..., :1] * 0), -1)


SITUATIONS = (
    Situation("divergence", "divergence", field),
    Situation("J proved diagonal", "divergence", lambda: torch.sin, proved=True),
    Situation("J proved tridiagonal", "divergence", lambda: neighbours, proved=True),
    Situation("Laplacian", "laplacian", scalar),
    Situation("Laplacian, training", "laplacian", scalar),
    Situation("H proved diagonal", "laplacian", lambda: lambda x: torch.sin(x).sum(-1), proved=True),
    Situation("Laplacian, `compile=true`", "laplacian", scalar, compiles=True),
)


def offered(kind: type[Strategy], evidence: Evidence) -> str:
    """The forms of a strategy that `auto` considers, those that rest on the proof marked; "" where there are none."""
    found = [one for one in kind.candidates(evidence) if one.strategy.refuse(evidence.operator) is None]
    return ", ".join(dict.fromkeys(f"`{one.strategy.spec}`{'*' if one.ground else ''}" for one in found))


def table() -> str:
    """A row a strategy, a column a situation."""
    known = [one.evidence() for one in SITUATIONS]
    lines = [
        f"| strategy | {' | '.join(one.words for one in SITUATIONS)} |",
        f"|---|{'---|' * len(SITUATIONS)}",
    ]
    for kind in STRATEGIES.values():
        if kind.name != "auto":
            cells = " | ".join(offered(kind, evidence) or "-" for evidence in known)
            lines.append(f"| `{form(kind)}` | {cells} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
