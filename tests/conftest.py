"""What every test shares."""

from __future__ import annotations

import gc
import itertools
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from jacstrat import plugins
from jacstrat.strategies.absent import PEERS
from jacstrat.strategies.auto import trial
from jacstrat.strategies.auto.strategy import CHOICE_CACHE
from jacstrat.strategies.entries import TABLE

# Timing decides no test, and CI repeats what failed.
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")


ENTRY_POINTS = plugins.entry_points


def _without_peers(group: str) -> list[EntryPoint]:
    """What packages register, but for the peers: they may be installed here, and the docs are of what jacstrat has."""
    found = ENTRY_POINTS(group=group)
    return [one for one in found if one.dist is None or one.dist.name not in PEERS.values()]


# Before any table is read, which is as tests are collected.
plugins.entry_points = _without_peers  # type: ignore[attr-defined]


def takes_all(config: pytest.Config) -> bool:
    """Whether tests marked `long` are run: in CI, where LONG=1 asks for them, and where a command chooses its tests."""
    chooses = bool(config.option.markexpr or config.option.keyword) or config.args != config.getini("testpaths")
    return chooses or bool(os.environ.get("CI") or os.environ.get("LONG"))


def long_ones(items: Iterable[pytest.Item]) -> Iterator[pytest.Item]:
    """Those marked `long`; where `but_one_in=5` says so, the first of each five that a function has is none of them."""
    met: Counter[str] = Counter()
    for item in items:
        if mark := item.get_closest_marker("long"):
            function, share = item.nodeid.partition("[")[0], mark.kwargs.get("but_one_in")
            if share is None or met[function] % share:
                yield item
            met[function] += 1


def pytest_report_header(config: pytest.Config) -> str:
    return "long tests: all" if takes_all(config) else "long tests: left out; LONG=1 in the environment runs them"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not takes_all(config):
        long = list(long_ones(items))
        config.hook.pytest_deselected(items=long)
        left = set(items).difference(long)
        items[:] = [item for item in items if item in left]
    if torch.accelerator.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="no accelerator here"))


def pytest_collection() -> None:
    """Modules and thousands of tests stay: as they are made no collection of garbage walks them again and again."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Nor does one afterwards, and each sampling has one."""
    gc.enable()
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def _places_of_choices(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory for each test, made when one is written to; pytest's own looks through all there are to number it."""
    above = tmp_path_factory.mktemp("choices")
    return (above / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def _no_choices_of_other_tests(monkeypatch, _places_of_choices) -> None:
    """What `auto` chose in other tests, or on this machine at all, is not to be found."""
    monkeypatch.setenv("JACSTRAT_CACHE", str(next(_places_of_choices)))
    CHOICE_CACHE.forget()
    TABLE.forget()
    # A trial calls the most promising a few times and is over.
    monkeypatch.setattr(trial, "ALLOWANCE_S", 0.0)
    monkeypatch.setattr(trial, "LEAST_S", 0.0)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Tests run beside each other; one thread each keeps them out of each other's way."""
    torch.set_num_threads(1)


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """A compiler that compiles nothing: programs are the captured graphs themselves, run by torch. Gives the graphs.

    It serves to test all that stands around the compiler; what the compiler makes is tested in test_program.py.
    """
    import torch._inductor

    graphs: list[object] = []

    def compile(graph: object, inputs: object, options: object = None) -> object:
        graphs.append(graph)
        return graph

    monkeypatch.setattr(torch._inductor, "compile", compile)
    return graphs
