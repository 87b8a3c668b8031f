"""One side: a child that imports the jacstrat of its revision and does what the driver asks.

It belongs to no revision: the driver's own file, loaded by its path, measures both. What it needs of a revision is
little, so that old ones can be measured: `find_problem(name).instance(...)`, `parse_strategy(spec).prepare(...)`,
`harness.plan.sweep` for the choice of cases, and `harness.cell.measuring.measure` for the counts and errors of a row.

A request is a line of JSON with `do`; the answer is a frame of it, with `failed` where it cannot be done.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from importlib import import_module
from importlib.util import find_spec
from time import perf_counter, perf_counter_ns
from typing import Any

Request = dict[str, Any]


def serve(requests: int, sender: Any) -> None:
    """Answer requests until there are no more.

    Args:
        requests: A descriptor that they come from.
        sender: Takes the answers, see `core/frames.py`.
    """
    side = _Side()
    with open(requests, "rb") as lines:
        for line in lines:
            request = json.loads(line)
            try:
                answer = getattr(side, request.pop("do"))(**request)
            except (Exception, SystemExit) as error:
                answer = {"failed": _in_words(error), "status": _status(error)}
            sender.send(answer)


class _Side:
    """What is prepared of the case that is open."""

    def __init__(self) -> None:
        self._work: Callable[[], object] = lambda: None
        self._sync: Callable[[], object] = lambda: None
        self._opened: Iterator[Any] = iter(())
        try:
            self._delays = os.open("/proc/self/schedstat", os.O_RDONLY)
        except OSError:
            self._delays = -1

    def load(self, paths: list[str], directory: str, within: str, cache: str) -> Request:
        """Import the revision's jacstrat; `within` is where it has to lie, or empty where it is installed."""
        os.chdir(directory)
        os.environ["JACSTRAT_CACHE"] = cache
        sys.path[:0] = paths
        import jacstrat

        _harness("cell"), _harness("sweep")

        file = os.path.realpath(jacstrat.__file__)
        if within and not file.startswith(os.path.realpath(within) + os.sep):
            raise ImportError(f"jacstrat was to be that of the revision, and is {file}")
        gc.collect()
        gc.freeze()
        return {"file": file}

    def environment(self) -> Request:
        """What machine and software this is, as the revision tells it."""
        from jacstrat.measure.environment import snapshot

        return snapshot().to_json()

    def choose(self, sweep: str | None, problems: list[str], strategies: list[str], **over: Any) -> Request:
        """The cases of a selection that this revision has, by key, and what it does not have, by name.

        Problems and strategies that are named are asked for one by one: one that a revision lacks takes no other away.
        """
        from jacstrat import JacstratError
        from jacstrat.strategies import STRATEGIES

        sweeps = _harness("sweep")
        if sweep is None and problems:
            chosen = sweeps.Sweep((sweeps.Grid(strategies=tuple(STRATEGIES), n=()),))
        else:
            chosen = sweeps.load_sweep(sweep or "quick")
        over = {name: tuple(value) if isinstance(value, list) else value for name, value in over.items()}
        cases: dict[str, Request] = {}
        missing: dict[str, str] = {}
        every_problem: list[str | None] = [*problems] or [None]
        every_strategy: list[str | None] = [*strategies] or [None]
        for problem in every_problem:
            for strategy in every_strategy:
                named = {
                    "problems": None if problem is None else (problem,),
                    "strategies": None if strategy is None else (strategy,),
                }
                try:
                    cells = chosen.override(**named, **over).cells()
                except JacstratError as error:
                    missing[" ".join(filter(None, (problem, strategy))) or sweep or "quick"] = _in_words(error)
                    continue
                for cell in cells:
                    for case in cell.cases:
                        cases.setdefault(case.key, asdict(replace(cell, strategies=(case.strategy,))))
        return {"cases": cases, "missing": missing}

    def records(self, cell: Request) -> Request:
        """The rows of a cell, their times of a single sample: how each ended, its counts and its errors."""
        from jacstrat.measure.sampling import Settings

        once = Settings(min_samples=1, max_samples=1, limit_s=1e-6, warmup_s=1e-6, block_s=1e-9, ticks=0)
        outcomes = list(_harness("cell").measure(_cell(cell), once))
        return {"records": [asdict(outcome.record) for outcome in outcomes if outcome.record is not None]}

    def open(self, cell: Request) -> Request:
        """Prepare the one strategy of a cell and call it once."""
        self.close()
        self._opened = _opened(_cell(cell))
        self._work, self._sync = next(self._opened)
        gc.collect()
        gc.disable()
        begin = perf_counter()
        self._work()
        self._sync()
        return {"first_s": perf_counter() - begin}

    def block(self, calls: int) -> Request:
        """The time of a number of calls in a row, seconds, without that in which the kernel let others run instead.

        What f itself waits for, a disk, a device, another thread, is part of it.
        """
        work, sync, repeat = self._work, self._sync, range(calls)
        sync()
        waited = self._waited_ns()
        begin = perf_counter_ns()
        for _ in repeat:
            work()
        sync()
        elapsed = perf_counter_ns() - begin
        waited = self._waited_ns() - waited
        return {"seconds": max(elapsed - waited, 1) / 1e9, "waited_s": waited / 1e9}

    def _waited_ns(self) -> int:
        """How long this process was ready to run, and something else had its core; 0 where the kernel does not tell.

        The second of three numbers, of the first thread. Reading it takes about a microsecond, outside of the block.
        """
        return int(os.pread(self._delays, 100, 0).split()[1]) if self._delays >= 0 else 0

    def close(self) -> Request:
        """Forget the case that is open."""
        self._opened = iter(())
        self._work = self._sync = lambda: None
        gc.enable()
        return {}


# Modules of the harness, by what they are of; a revision may be from before it had rooms, when its files lay in one.
_ROOMS = {
    "cell": "jacstrat.harness.cell.measuring",
    "cases": "jacstrat.harness.plan.cases",
    "sweep": "jacstrat.harness.plan.sweep",
}


def _harness(name: str) -> Any:
    """A module of the revision's harness."""
    has_rooms = find_spec("jacstrat.harness.dispatch") is not None
    return import_module(_ROOMS[name] if has_rooms else f"jacstrat.harness.{name}")


def _cell(values: Request) -> Any:
    """A cell of the revision, from its own fields as JSON keeps them."""
    return _harness("cases").Cell(**values | {"strategies": tuple(values["strategies"])})


def _opened(cell: Any) -> Iterator[tuple[Callable[[], object], Callable[[], object]]]:
    """The work of a case, and what waits for its device; the settings of torch that it needs are made first."""
    import torch

    from jacstrat.problems.load import find_problem
    from jacstrat.strategies import parse_strategy

    tf32 = cell.dtype == "tf32"
    dtype = torch.float32 if tf32 else getattr(torch, cell.dtype)
    torch.set_num_threads(cell.threads)
    torch.set_grad_enabled(cell.workload == "train")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    instance = find_problem(cell.problem).instance(cell.n, cell.batch, dtype, cell.device, cell.seed)
    x, parameters = instance.x, tuple(instance.parameters.values())
    generator = torch.Generator().manual_seed(cell.seed)
    # A revision may be from before functions had further arguments, and operators a weight of the problem's.
    args = getattr(instance, "args", ())
    operator = instance.operator(cell.operator) if hasattr(instance, "operator") else cell.operator
    keywords = {"args": args} if args else {}
    evaluate = parse_strategy(cell.strategies[0]).prepare(operator, instance.f, x, generator, **keywords)

    def step() -> object:
        result = evaluate(x, *args)
        loss = (torch.view_as_real(result) if result.is_complex() else result).square().mean()
        return torch.autograd.grad(loss, parameters, allow_unused=True) if loss.requires_grad else None

    work: Callable[[], object] = step if cell.workload == "train" else lambda: evaluate(x, *args)
    if cell.workload == "replay":
        # Of a revision from before strategies used graphs, too, they are in another place.
        module = "jacstrat.graphs" if find_spec("jacstrat.graphs") else "jacstrat.measure.graphs"
        work = import_module(module).captured(work, x.device)
    device = x.device
    yield work, (lambda: None) if device.type == "cpu" else (lambda: torch.accelerator.synchronize(device))


def _in_words(error: BaseException) -> str:
    # What f raises may hold a tensor, or whatever f likes.
    try:
        text = " ".join(str(error)[:4000].split())[:1000] or "no message"
    except (Exception, SystemExit) as another:
        text = f"no message: its own __str__ raises {type(another).__name__}"
    known = any(kind.__name__ == "JacstratError" for kind in type(error).__mro__)
    return text if known else f"{type(error).__name__}: {text}"


def _status(error: BaseException) -> str:
    return "oom" if isinstance(error, MemoryError) or "OutOfMemory" in type(error).__name__ else "error"
