"""A case: one strategy on one problem at one size, and the key that names it in records, samples and verdicts."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields

# What is sampled beside the strategies of a cell, each in the place of one: f itself, and the bare matrix products of a
# network.
F, FLOOR = "f", "floor"


@dataclass(frozen=True)
class Case:
    """What identifies a record: the columns of the same names, in the order in which the key has them.

    The key is problem/operator/strategy/n=4/batch=1/float64/cpu/evaluate/threads=1/seed=0. It is read from its end, so
    that a problem may be a path; in an operator and a strategy a slash is written %2F, and % therefore %25.
    """

    problem: str
    operator: str
    strategy: str
    n: int
    batch: int
    dtype: str
    device: str
    workload: str
    threads: int
    seed: int

    @property
    def name(self) -> str:
        """The first part of the key: problem, operator and strategy."""
        return f"{self.problem}/{_quoted(self.operator)}/{_quoted(self.strategy)}"

    @property
    def setting(self) -> tuple[str, ...]:
        """The parts of the key after its name: "n=4", "batch=1", "float64", ..."""
        counts, run = (f"n={self.n}", f"batch={self.batch}"), (f"threads={self.threads}", f"seed={self.seed}")
        return (*counts, self.dtype, self.device, self.workload, *run)

    @property
    def key(self) -> str:
        """The stable key of the case: column `case`."""
        return "/".join((self.name, *self.setting))

    @classmethod
    def parse(cls, key: str) -> Case | None:
        """The case of a key; None where it is no case's, as in a file that other programs have written."""
        if (match := _KEY.fullmatch(key)) is None:
            return None
        problem, operator, strategy, n, batch, dtype, device, workload, threads, seed = match.groups()
        names = (problem, _unquoted(operator), _unquoted(strategy))
        case = cls(*names, int(n), int(batch), dtype, device, workload, int(threads), int(seed))
        return case if case.key == key else None


KEY = tuple(column.name for column in fields(Case))
_KEY = re.compile(
    r"(.*)/([^/]*)/([^/]*)/n=([0-9]{1,19})/batch=([0-9]{1,19})/([^/]*)/([^/]*)/([^/]*)"
    r"/threads=([0-9]{1,19})/seed=([0-9]{1,19})",
    re.DOTALL,
)


def beside(key: str, name: str) -> str | None:
    """The key of F or FLOOR as sampled beside a case, from the key of that; None where it is no case's."""
    match = _KEY.fullmatch(key)
    return match and f"{key[: match.start(3)]}{name}{key[match.end(3) :]}"


def _quoted(spec: str) -> str:
    return spec.replace("%", "%25").replace("/", "%2F")


def _unquoted(part: str) -> str:
    return part.replace("%2F", "/").replace("%25", "%")
