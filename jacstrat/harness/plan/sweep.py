"""A sweep: what to measure, from TOML and the command line, checked as a whole before anything runs."""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from jacstrat.core.errors import UsageError, lookup, unknown
from jacstrat.core.operator import parse_operator
from jacstrat.harness.plan.cases import Cell
from jacstrat.harness.plan.devices import DEVICES
from jacstrat.harness.plan.precision import DTYPES
from jacstrat.measure.clocks import CACHES, WARM
from jacstrat.problems.base import USUAL, Problem
from jacstrat.problems.load import find_problem
from jacstrat.strategies import parse_strategy

WORKLOADS: Mapping[str, str] = MappingProxyType(
    {
        "evaluate": "the operator, nothing tracked",
        "train": "the operator, its mean squared, and backward to the parameters of f",
        "replay": "the operator, captured once in a graph of the device and replayed",
    }
)
MOST_THREADS = 4096
LARGEST = 2**63 - 1
"""The largest whole number that records hold."""


@dataclass(frozen=True)
class Grid:
    """A product of values: every combination is a cell. An empty `operators` means those that a problem names, an empty
    `n` the sizes that it names, an empty `threads` torch's own number."""

    problems: tuple[str, ...] = ()
    operators: tuple[str, ...] = ()
    strategies: tuple[str, ...] = ("identity", "vmap", "jvp")
    n: tuple[int, ...] = (1, 2, 4, 8, 16)
    batch: tuple[int, ...] = (1,)
    dtype: tuple[str, ...] = ("float64",)
    device: tuple[str, ...] = ("cpu",)
    workload: tuple[str, ...] = ("evaluate",)
    threads: tuple[int, ...] = ()


@dataclass(frozen=True)
class Sweep:
    """Grids, and how to run them.

    Fields:
        grids: Each a product of values; together the sweep, each case once.
        seed: Of weights, points, random probes and the order of sampling.
        sample_s: Time to spend on sampling one strategy of one cell, at most.
        timeout_s: A case that keeps its process busy for longer ends as `timeout`.
        max_memory_bytes: A case that needs more ends as `oom`; None for four fifths of what is available.
        energy: Whether the energy of a call is taken, on cards that tell it, for half a second more a case.
        timed: Whether time is sampled; else counts and accuracy alone are taken, which are the same on every machine.
        cache: What calls find in the caches, see `measure.clocks.CACHES`: numbers are of the first, others beside it.
        shard: "2/16" for the second of 16 parts, which together are the sweep; None for all of it.
    """

    grids: tuple[Grid, ...]
    seed: int = 0
    sample_s: float = 0.25
    timeout_s: float = 30.0
    max_memory_bytes: int | None = None
    energy: bool = False
    timed: bool = True
    cache: tuple[str, ...] = (WARM,)
    shard: str | None = None

    def override(self, **values: Any) -> Sweep:
        """The sweep with values put over those of every grid, and over its own; None leaves a value as it is."""
        put = {name: value for name, value in values.items() if value is not None}
        of_sweep = {name: put.pop(name) for name in list(put) if name in _OF_SWEEP}
        return replace(self, grids=tuple(dict.fromkeys(replace(grid, **put) for grid in self.grids)), **of_sweep)

    def cells(self) -> tuple[Cell, ...]:
        """The cells, cheap sizes first within a line, each case once, checked.

        Raises:
            UsageError: A name, a size or a number is not one; says which, and what is near.
        """
        self._check()
        strategies: dict[Cell, dict[str, None]] = {}
        for grid in self.grids:
            specs = [parse_strategy(spec).spec for spec in grid.strategies]
            for cell in self._products(grid):
                strategies.setdefault(cell, {}).update(dict.fromkeys(specs))
        cells = [replace(cell, strategies=tuple(specs)) for cell, specs in strategies.items()]
        # Small sizes first, also where grids overlap: what fails at n is not tried at larger n. Lines keep their order.
        lines = {line: i for i, line in enumerate(dict.fromkeys(map(line_of, cells)))}
        cells.sort(key=lambda cell: (lines[line_of(cell)], cell.n))
        if not all(cell.strategies for cell in cells) or not cells:
            raise UsageError("the sweep is empty: name at least one problem, strategy and batch")
        if self.shard is None:
            return tuple(cells)
        # By lines, which are measured on one machine, dealt out in turn: neighbours are much alike and take as long.
        part, parts = shard_of(self.shard)
        chosen = tuple(cell for cell in cells if lines[line_of(cell)] % parts == part - 1)
        if not chosen:
            raise UsageError(
                f"shard {self.shard} is empty: the sweep has {len(lines)} lines; use at most as many shards"
            )
        return chosen

    def _products(self, grid: Grid) -> list[Cell]:
        threads = grid.threads or (torch.get_num_threads(),)
        return [
            Cell(name, operator, n, batch, dtype, device, workload, count, self.seed, ())
            for name in grid.problems
            for operator in _operators(find_problem(name), grid.operators)
            for device in grid.device
            for dtype in grid.dtype
            for workload in grid.workload
            for count in threads
            for batch in grid.batch
            for n in sorted(grid.n or find_problem(name).sizes)
        ]

    def software(self) -> dict[str, dict[str, str]]:
        """Versions of the other libraries that strategies of the sweep are, by the names of these."""
        kinds = {spec: parse_strategy(spec) for grid in self.grids for spec in grid.strategies}
        return {one.name: dict(one.software) for one in kinds.values() if one.software}

    def pinned(self) -> Sweep:
        """The sweep with torch's number of threads written out: what a run keeps, so that it can be repeated."""
        here = (torch.get_num_threads(),)
        return replace(self, grids=tuple(replace(grid, threads=grid.threads or here) for grid in self.grids))

    def _check(self) -> None:
        for name in ("sample_s", "timeout_s"):
            if not 0 < getattr(self, name) < math.inf:
                raise UsageError(f"{name} must be more than 0 seconds and finite, got {getattr(self, name)}")
        if self.max_memory_bytes is not None and self.max_memory_bytes <= 0:
            raise UsageError(f"max_memory_bytes must be more than 0, got {self.max_memory_bytes}")
        if self.max_memory_bytes is not None and self.max_memory_bytes > LARGEST:
            raise UsageError(f"max_memory_bytes must be at most 2^63 - 1, got {self.max_memory_bytes}")
        if not 0 <= self.seed <= LARGEST:
            raise UsageError(f"seed must be from 0 to 2^63 - 1, got {self.seed}")
        if self.shard is not None:
            shard_of(self.shard)
        if not self.cache or len({*self.cache}) < len(self.cache):
            raise UsageError(f"cache must be warm, cold, or both, got {', '.join(self.cache) or 'none'}")
        for name in self.cache:
            lookup("cache", name, CACHES)
        for grid in self.grids:
            _check_grid(grid)

    def to_toml(self) -> str:
        """The sweep as TOML that `load_sweep` reads back to an equal one."""
        # JSON strings, numbers and arrays of these are TOML as they stand.
        of_sweep = {name: getattr(self, name) for name in _OF_SWEEP}
        lines = [f"{name} = {json.dumps(value)}" for name, value in of_sweep.items() if value is not None]
        for grid in self.grids:
            lines += ["", "[[grid]]"]
            lines += [f"{f.name} = {json.dumps(list(getattr(grid, f.name)), ensure_ascii=False)}" for f in fields(Grid)]
        return "\n".join(lines) + "\n"


def _check_grid(grid: Grid) -> None:
    for name in (*grid.problems, *grid.operators, *grid.strategies):
        if name.encode("utf-8", "replace").decode() != name:
            raise UsageError(f"{name!r} is not UTF-8, which records are written in; rename the file")
    for key in ("n", "batch", "threads"):
        for number in getattr(grid, key):
            if number < 1:
                raise UsageError(f"{key} must be a positive integer, got {number}")
            if number > LARGEST:
                raise UsageError(f"{key} must be at most 2^63 - 1, got {number}")
            if key == "threads" and number > MOST_THREADS:
                raise UsageError(f"threads must be at most {MOST_THREADS}, got {number}")
    for operator in grid.operators:
        parse_operator(operator)
    for kind, names, known in (
        ("dtype", grid.dtype, DTYPES),
        ("device", [re.sub(r":\d+$", "", device) for device in grid.device], DEVICES),
        ("workload", grid.workload, WORKLOADS),
    ):
        for name in names:
            if name not in known:
                raise UsageError(unknown(kind, name, known))


def line_of(cell: Cell) -> Cell:
    """What cells share that differ in n and strategies alone."""
    return replace(cell, n=0, strategies=())


def shard_of(text: str) -> tuple[int, int]:
    """Part and parts of a shard such as "2/16", which is (2, 16).

    Raises:
        UsageError: It is none.
    """
    numbers = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
    if numbers is None or not 1 <= int(numbers[1]) <= int(numbers[2]):
        raise UsageError(f"a shard is I/N with I from 1 to N, such as 2/16, got {text!r}")
    return int(numbers[1]), int(numbers[2])


_OF_SWEEP = tuple(f.name for f in fields(Sweep) if f.name != "grids")


def _operators(problem: Problem, asked: tuple[str, ...]) -> tuple[str, ...]:
    """Specs of those operators asked for that the problem has, or of those that it names."""
    if not asked and problem.kind is None and problem.operators == USUAL[None]:
        raise UsageError(
            f"{problem.name} is a plain function: say -o divergence or -o jacobian_diagonal for a field, "
            "-o laplacian for a scalar"
        )
    operators = [parse_operator(operator) for operator in asked or problem.operators]
    chosen = dict.fromkeys(operator.spec for operator in operators if problem.lacks(operator) is None)
    if not chosen:
        raise UsageError(next(filter(None, map(problem.lacks, operators))))
    return tuple(chosen)


def shipped_sweeps() -> Mapping[str, Path]:
    """The sweeps that come with the package, by name."""
    folder = Path(str(files("jacstrat.harness.plan") / "sweeps"))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def load_sweep(name: str) -> Sweep:
    """A shipped sweep by its name, or one from a TOML file.

    Keys at the top are those of Sweep and Grid; a table [[grid]] puts its own over the latter, and there may be many.

    Raises:
        UsageError: No such sweep, no such file, malformed TOML, or a key or value that is none; says where.
    """
    if name.endswith(".toml"):
        path = Path(name)
        if not path.is_file():
            raise UsageError(f"sweep file {name} does not exist")
    else:
        path = lookup("sweep", name, shipped_sweeps())
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise UsageError(f"sweep file {path} cannot be read: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise UsageError(f"sweep file {path} cannot be read: it is nested too deep") from None
    try:
        return _sweep(table)
    except UsageError as error:
        raise UsageError(f"sweep file {path}: {error}") from None


def _sweep(table: dict[str, Any]) -> Sweep:
    grids = table.pop("grid", [{}])
    if not isinstance(grids, list) or not all(isinstance(grid, dict) for grid in grids):
        raise UsageError("grid must be a table of its own, [[grid]]")
    of_sweep = {key: _number(key, table.pop(key)) for key in _OF_SWEEP if key in table}
    shared = {key: _values(key, value) for key, value in table.items()}
    return Sweep(
        tuple(Grid(**shared | {key: _values(key, value) for key, value in grid.items()}) for grid in grids), **of_sweep
    )


def _number(key: str, value: Any) -> Any:
    if key in ("timed", "energy"):
        if not isinstance(value, bool):
            raise UsageError(f"{key} must be true or false, got {value!r}")
        return value
    if key == "cache":
        names = value if isinstance(value, list) else [value]
        if any(not isinstance(name, str) for name in names):
            raise UsageError(f"cache must be a list of names in quotes, got {value!r}")
        return tuple(names)
    if key == "shard":
        if not isinstance(value, str):
            raise UsageError(f'shard must be I/N in quotes, such as "2/16", got {value!r}')
        return value
    whole = key in ("seed", "max_memory_bytes")
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        raise UsageError(f"{key} must be {'a whole number' if whole else 'a number'}, got {value!r}")
    return value


def _values(key: str, value: Any) -> tuple[Any, ...]:
    """The values of a grid's key: a list, or one value on its own."""
    if key in _OF_SWEEP:
        raise UsageError(f"{key} stands at the top of the file, not in [[grid]]")
    lookup("key", key, {f.name: f for f in fields(Grid)} | dict.fromkeys(_OF_SWEEP))
    values = value if isinstance(value, list) else [value]
    kind, word = (int, "whole numbers") if key in ("n", "batch", "threads") else (str, "names in quotes")
    if any(not isinstance(v, kind) or isinstance(v, bool) for v in values):
        raise UsageError(f"{key} must be a list of {word}, got {value!r}")
    return tuple(values)
