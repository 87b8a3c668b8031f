"""Which functions are one to `auto`, and what of them is kept alive."""

from __future__ import annotations

import functools
import gc
import weakref
from dataclasses import replace

import pytest
import torch

from jacstrat.core.operator import OPERATORS
from jacstrat.strategies.checked import checked
from jacstrat.strategies.process_cache import ProcessCache, key_of
from jacstrat.strategies.reduction import reduction

NET = torch.nn.Linear(3, 3)
GLOBAL = 2


def closing_over(value):
    return lambda x: x * value


def with_default(value):
    def f(x, a=value):
        return x

    return f


def reads_a_global():
    return lambda x: NET(x) * GLOBAL


class Model:
    def field(self, x):
        return x

    def __call__(self, x):
        return x


MODEL = Model()


@pytest.mark.parametrize(
    "make",
    [
        reads_a_global,
        lambda: NET,
        lambda: torch.sin,
        lambda: MODEL,
        lambda: MODEL.field,
        lambda: functools.partial(MODEL.field, scale=2),
        lambda: checked(closing_over(1), OPERATORS["divergence"]),
        lambda: closing_over(torch.rand(3)),
        lambda: closing_over(closing_over(torch.rand(3))),
        lambda: closing_over({"w": torch.rand(3), "b": [torch.rand(2)]}),
        lambda: closing_over(NET),
        lambda: closing_over(torch.rand(1).item()),
        lambda: with_default(3),
    ],
)
def test_made_twice_it_is_one(make) -> None:
    assert key_of(make()) == key_of(make())
    assert hash(key_of(make())) == hash(key_of(make()))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda x: x, lambda x: x),
        (closing_over(1), closing_over(2)),
        (closing_over(torch.ones(2)), closing_over(torch.ones(3))),
        (closing_over(torch.ones(2)), closing_over(torch.ones(2, dtype=torch.float64))),
        (closing_over(torch.ones(2)), closing_over(torch.ones(2, requires_grad=True))),
        (closing_over(closing_over(1)), closing_over(closing_over(2))),
        (closing_over([1, 2]), closing_over([1, 3])),
        (with_default(1), with_default(2)),
        (torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)),
        (closing_over(NET), closing_over(torch.nn.Linear(3, 3))),
        (functools.partial(closing_over(1), 1), functools.partial(closing_over(1), 2)),
        (Model().field, MODEL.field),
        (torch.sin, torch.cos),
        (checked(torch.sin, OPERATORS["divergence"]), checked(torch.cos, OPERATORS["divergence"])),
    ],
)
def test_others_are_others(one, other) -> None:
    assert key_of(one) != key_of(other)


def test_a_module_in_training_is_another(monkeypatch) -> None:
    net = torch.nn.Linear(3, 3)
    before = key_of(net)
    net.eval()
    assert key_of(net) != before


def test_another_global_is_another_function(monkeypatch) -> None:
    before = key_of(reads_a_global())
    monkeypatch.setitem(globals(), "GLOBAL", 3)
    assert key_of(reads_a_global()) != before


def test_a_closure_that_is_not_filled_yet_and_one_that_holds_itself() -> None:
    def early():
        def f(x):
            return later(x)

        key = key_of(f)
        later = f
        return key, key_of(f)

    before, after = early()
    assert before != after


def test_keys_keep_nothing_alive_and_a_new_object_is_not_an_old_one() -> None:
    cache: ProcessCache[str] = ProcessCache()
    net = torch.nn.Linear(3, 3)
    gone = weakref.ref(net)
    cache.keep(net, "", "vmap")
    cache.keep(closing_over(net), "", "jvp")
    assert cache.get(net, "") == "vmap"
    assert cache.get(closing_over(net), "") == "jvp"
    stale = key_of(net)
    del net
    gc.collect()
    assert gone() is None
    assert stale != key_of(torch.nn.Linear(3, 3))


def test_the_latest_are_kept() -> None:
    cache: ProcessCache[int] = ProcessCache(size=4)
    for n in range(10):
        cache.keep(torch.sin, n, n)
    assert [cache.get(torch.sin, n) for n in range(10)] == [None] * 6 + [6, 7, 8, 9]
    cache.forget()
    assert cache.get(torch.sin, 9) is None


def test_code_that_is_ever_new_in_what_it_closes_over_is_known_after_some_time() -> None:
    cache: ProcessCache[int] = ProcessCache(most=3)
    for step in range(3):
        assert cache.get(closing_over(step), "") is None
        cache.keep(closing_over(step), "", step)
    assert cache.get(closing_over(100), "") == 2
    assert cache.get(closing_over(100), "elsewhere") is None
    assert cache.get(lambda x: x, "") is None


@pytest.mark.parametrize("coordinates", [None, (0, 2)])
def test_it_is_the_code_of_f_that_is_known_and_none_of_what_is_put_around_it(coordinates) -> None:
    def reduced(f):
        operator, x = replace(OPERATORS["divergence"], coordinates=coordinates), torch.rand(2, 3)
        return reduction(operator, f, x, (), 1, needs_scalar=False)[0].function

    cache: ProcessCache[int] = ProcessCache(most=3)
    for step in range(3):
        cache.keep(reduced(closing_over(step)), "", step)
    assert cache.get(reduced(closing_over(100)), "") == 2
    assert cache.get(reduced(lambda x: x), "") is None
