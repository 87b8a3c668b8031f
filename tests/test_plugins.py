"""Packages that register problems and strategies: in the tables, in children too, and never in the way."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from jacstrat import PROBLEMS, STRATEGIES
from jacstrat.core.errors import UsageError
from jacstrat.plugins import registered
from jacstrat.strategies.absent import PEERS

GOOD = '''
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jacstrat import PROBLEMS, Strategy, UsageError, divergence, parse_strategy, problem


@problem(kind="field", reference=lambda x: 3 * x**2, sizes=(2, 3), structure="diagonal", origin="a package")
def cube(x):
    return x**3


def net(n):
    return torch.nn.Sequential(torch.nn.Linear(n, 4), torch.nn.Tanh(), torch.nn.Linear(4, n))


@dataclass(frozen=True)
class Twice(Strategy):
    """Identity by another name, which divides by `half` for nothing."""

    name: ClassVar[str] = "twice"
    cost: ClassVar[str] = "n VJP"
    exact_when: ClassVar[str] = "always"
    half: int = 2

    def build(self, operator, f, x, args, generator):
        return parse_strategy("identity").build(operator, f, x, args, generator)
'''

BAD = """
from jacstrat import Strategy, problem

number = 3
Plain = int


@problem
def sine(x):
    return x.sin()


class Nameless(Strategy):
    def build(self, operator, f, x, args, generator):
        return f


class Half(Strategy):
    name = "half"
    cost = "1 VJP"
    exact_when = "never"
"""

PROBLEM_FAULTS = {
    "gone = bad_plugin:nothing": "AttributeError: module 'bad_plugin' has no attribute 'nothing'",
    "missing = no_such_module:f": "ModuleNotFoundError: No module named 'no_such_module'",
    "exits = leaving_plugin:f": "SystemExit: 3",
    "number = bad_plugin:number": "number is a int, neither a Problem nor a function of x",
    "sin = bad_plugin:sine": "the name exists already; it needs another one",
    "other = bad_plugin:sine": "the problem calls itself 'sine'; it must be registered under that name",
    "a:b = bad_plugin:sine": "a name is letters, digits, _, . and -",
}
STRATEGY_FAULTS = {
    "plain = bad_plugin:Plain": "it is no subclass of jacstrat.Strategy",
    "sine = bad_plugin:sine": "it is no subclass of jacstrat.Strategy",
    "nameless = bad_plugin:Nameless": "its class has no name",
    "half = bad_plugin:Half": "TypeError: Can't instantiate abstract class Half with abstract method build",
    "vmap = bad_plugin:Half": "the name exists already; it needs another one",
    "forward_over_reverse = bad_plugin:Half": "the name exists already; it needs another one",
    "third = bad_plugin:Half": "the strategy calls itself 'half'; it must be registered under that name",
}


def distribution(folder: Path, name: str, problems: list[str], strategies: list[str]) -> None:
    """What pip leaves of an installed package, but for its modules."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    groups = (("jacstrat.problems", problems), ("jacstrat.strategies", strategies))
    (info / "entry_points.txt").write_text("".join(f"[{group}]\n" + "\n".join(lines) + "\n" for group, lines in groups))


def python(code: str, *folders: Path) -> subprocess.CompletedProcess:
    path = os.pathsep.join([*map(str, folders), *filter(None, sys.path)])
    path += os.pathsep + str(Path(__file__).parents[1])
    environment = os.environ | {"PYTHONPATH": path, "COLUMNS": "200"}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)


@pytest.fixture
def good(tmp_path) -> Path:
    folder = tmp_path / "good"
    folder.mkdir()
    (folder / "good_plugin.py").write_text(GOOD)
    distribution(
        folder, "good", ["cube = good_plugin:cube", "their-net = good_plugin:net"], ["twice = good_plugin:Twice"]
    )
    return folder


@pytest.fixture
def bad(tmp_path) -> Path:
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "bad_plugin.py").write_text(BAD)
    (folder / "leaving_plugin.py").write_text("raise SystemExit(3)")
    distribution(folder, "bad", list(PROBLEM_FAULTS), list(STRATEGY_FAULTS))
    return folder


@pytest.mark.long
def test_what_packages_register_is_in_the_tables_and_is_measured_in_children(good: Path) -> None:
    done = python(
        "import sys\n"
        "import jacstrat\n"
        "assert 'torch' not in sys.modules\n"
        "from jacstrat import PROBLEMS, STRATEGIES, parse_strategy\n"
        "assert 'good_plugin' not in sys.modules\n"
        "assert list(PROBLEMS)[-2:] == ['cube', 'their-net'], list(PROBLEMS)\n"
        "assert PROBLEMS['their-net'].factory and PROBLEMS['their-net'].origin == 'good_plugin'\n"
        "assert list(STRATEGIES)[-1] == 'twice' and parse_strategy('twice:half=3').half == 3\n"
        "from jacstrat.cli.lists import LISTS\n"
        "for what in ('problems', 'strategies'): print(*[entry.name for entry in LISTS[what]()])\n"
        "from jacstrat.harness.dispatch.isolation import measure_isolated\n"
        "from jacstrat.harness.plan.sweep import Grid, Sweep\n"
        "from tests.harness.conftest import LIMITS, QUICK\n"
        "grid = Grid(('cube', 'their-net'), ('divergence',), ('twice',), n=())\n"
        "for cell in Sweep((grid,)).cells()[:3]:\n"
        "    for outcome in measure_isolated(cell, QUICK, LIMITS):\n"
        "        if outcome.record: print(cell.problem, cell.n, outcome.record.strategy, outcome.record.status)\n",
        good,
    )
    assert (done.returncode, done.stderr) == (0, "")
    problems, strategies, *rows = done.stdout.splitlines()
    assert problems.endswith(" cube their-net")
    assert strategies.split()[:-1].count("twice") == 1
    assert rows == ["cube 2 twice ok", "cube 3 twice ok", "their-net 1 twice ok"]


@pytest.mark.long
def test_a_bad_plugin_is_a_warning_and_the_rest_is_there(good: Path, bad: Path) -> None:
    done = python(
        "import warnings, sys\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        "    from jacstrat import PROBLEMS, STRATEGIES\n"
        "    names = *PROBLEMS, '/', *STRATEGIES\n"
        "for warning in caught: print(str(warning.message))\n"
        "print(*names)\n"
        "print(PROBLEMS['sin'].function.__name__)",
        good,
        bad,
    )
    assert done.returncode == 0, done.stderr
    *said, names, sin = [line for line in done.stdout.splitlines() if "jit.script" not in line]
    expected = [
        f"{group}: {line.split(' = ')[0]!r} of bad is left out: {fault}"
        for group, faults in (("jacstrat.problems", PROBLEM_FAULTS), ("jacstrat.strategies", STRATEGY_FAULTS))
        for line, fault in faults.items()
    ]
    remedy = "; update or uninstall bad"
    assert all(line.endswith(remedy) for line in said)
    assert sorted(line.removesuffix(remedy) for line in said) == sorted(expected)
    problems, _, strategies = names.partition(" / ")
    assert set(problems.split()) == {*PROBLEMS, "cube", "their-net"}
    # Peers may be installed here.
    assert set(strategies.split()) - {*PEERS} == {*STRATEGIES, "twice"}
    assert sin == "sin"


def test_of_two_packages_with_one_name_the_first_is_kept(tmp_path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "numbers_plugin.py").write_text("one = 1\ntwo = 2")
    distribution(tmp_path, "first", ["number = numbers_plugin:one"], [])
    distribution(tmp_path, "second", ["number = numbers_plugin:two"], [])
    importlib.invalidate_caches()

    def accept(name: str, found: object) -> object:
        return found

    with pytest.warns(UserWarning, match="^jacstrat.problems: 'number' of second is left out: the name exists already"):
        assert registered("jacstrat.problems", (), accept) == {"number": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert registered("jacstrat.nothing", (), accept) == {}

    def refuse(name: str, found: object) -> object:
        raise UsageError("over\ntwo lines")

    with pytest.warns(UserWarning, match="is left out: over two lines") as caught:
        assert registered("jacstrat.problems", (), refuse) == {}
    assert [str(warning.message) for warning in caught] == [
        f"jacstrat.problems: 'number' of {package} is left out: over two lines; update or uninstall {package}"
        for package in ("first", "second")
    ]
