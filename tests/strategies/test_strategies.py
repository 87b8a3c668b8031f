"""Every strategy of the one table, on every problem of the other."""

from __future__ import annotations

from functools import cache
from itertools import cycle, islice

import pytest
import torch

from jacstrat import PROBLEMS, STRATEGIES, UnsupportedError, parse_strategy
from jacstrat.measure.accuracy import errors
from jacstrat.problems import FAMILIES
from jacstrat.problems.base import Instance, Problem, Reference
from jacstrat.strategies import OPERATORS, Strategy, default_strategies
from tests.share import shared

pytestmark = pytest.mark.long(but_one_in=3)

EXACT = [STRATEGIES[name]() for name in default_strategies() if STRATEGIES[name].exact_when.startswith("always")]
VARIANTS = [
    *EXACT,
    *map(
        parse_strategy,
        (
            "vmap:chunk_size=1",
            "vmap:chunk_size=2",
            "jvp:chunk_size=all",
            "jvp:chunk_size=3",
            "forward_over_forward:chunk_size=1",
        ),
    ),
]
# Beside those of the new families: a field and a scalar with a closed form.
EVERY_OPERATOR = (
    *(problem.name for problem in FAMILIES["equations"]),
    "conditional_flow", "tanh_outputs", "log_psi", "cubic", "gaussian",
)  # fmt: skip
# In which dtype; the other has what each problem names.
FULL = torch.float64
SIZES = (1, 2, 3, 17)
BATCHES = (None, 1, 5)


# What no chain is, and says so.
NO_CHAIN = {("chain", "korteweg_de_vries"): "neither linear nor pointwise"}


def sizes(problem: Problem) -> list[int]:
    """Those of SIZES that the problem takes, filled up to three with the smallest others; none beyond its own sizes."""
    taken = [n for n in range(1, max(problem.sizes) + 1) if problem.refuse(n) is None]
    fitting = [n for n in SIZES if n in taken]
    others = (n for n in taken if n > 3 and n not in SIZES)
    return sorted([*fitting, *islice(others, max(0, 3 - len(fitting)))])


def shapes(problem: Problem, dtype: torch.dtype) -> list[tuple[int, int | None]]:
    """Every size with one of the batches, all of them where there is one size; in the other dtype the second size."""
    ns = sizes(problem)
    if dtype != FULL:
        return [(ns[:2][-1], 1)]
    return list(zip(ns * len(BATCHES) if len(ns) == 1 else ns, cycle(BATCHES), strict=False))


@cache
def posed(name: str, n: int, batch: int, dtype: torch.dtype) -> Instance:
    return PROBLEMS[name].instance(n, batch, dtype)


@cache
def answer(name: str, n: int, batch: int, dtype: torch.dtype, spec: str) -> Reference:
    return posed(name, n, batch, dtype).reference(spec)


def specs(problem: Problem, n: int, dtype: torch.dtype) -> list[str]:
    """What the problem names; at one size of some, every operator, over some coordinates and with a weight, too."""
    if problem.name not in EVERY_OPERATOR or n != sizes(problem)[:2][-1] or dtype != FULL:
        return list(problem.operators)
    found = [operator for operator in OPERATORS.values() if operator.kind == problem.kind]
    weight = "weight=" + "+".join(str(k - 1) for k in range(n))
    some = [f"{one}:coordinates={n - 1}" + ("+0" if n > 1 else "") for one in found]
    traces = [one for one in found if one.is_trace and one.order < 4]
    weights = [f"{one}:{weight}" for one in traces] + [f"{one}:weight=own" for one in traces if problem.weight]
    every = [*problem.operators, *map(str, found), *some, *weights]
    # A dense matrix for each pair of coordinates.
    return list(dict.fromkeys(spec for spec in every if n <= 6 or "bilaplacian" not in spec))


def test_every_problem_has_three_sizes_but_for_those_of_one() -> None:
    assert {name: sizes(p) for name, p in PROBLEMS.items() if len(sizes(p)) < 3} == {
        "seed_product": [2],
        "seed_coupled": [3],
        "taylor_green": [3],
        "korteweg_de_vries": [2],
    }
    assert sizes(PROBLEMS["bratu_2d"]) == [1, 4, 9]
    assert sizes(PROBLEMS["wavefunction"]) == [6, 9, 12]


@pytest.mark.parametrize(
    ("strategy", "name", "dtype"),
    [
        pytest.param(strategy, name, dtype, id=f"{strategy}-{name}-{dtype}")
        for row, strategy in enumerate(VARIANTS)
        for column, name in enumerate(PROBLEMS)
        for layer, dtype in enumerate((torch.float32, torch.float64))
        if shared(row, column, layer)
    ],
)
def test_exact_strategies_agree_with_the_reference(strategy: Strategy, name: str, dtype: torch.dtype) -> None:
    problem, refused = PROBLEMS[name], []
    for n, batch in shapes(problem, dtype):
        instance = posed(name, n, batch or 1, dtype)
        x = instance.x if batch else instance.x[0]
        args = instance.args if batch else tuple(arg[0] for arg in instance.args)
        for spec in specs(problem, n, dtype):
            operator = instance.operator(spec)
            if strategy.refuse(operator) is not None:
                continue
            reference = answer(name, n, batch or 1, dtype, spec)
            value, scale = reference.value(operator), reference.scale(operator)
            with torch.no_grad():
                try:
                    result = strategy.prepare(operator, instance.f, x, args=args)(x, *args)
                except UnsupportedError as error:
                    if (why := NO_CHAIN.get((strategy.name, name))) and why in str(error):
                        continue
                    refused.append(f"n={n} batch={batch} {spec}: {error}")
                    continue
            assert result.dtype == dtype
            assert result.shape == (value.shape if batch else value.shape[1:])
            found = errors(result, *((value, scale) if batch else (value[0], scale[0])))
            assert found.within, f"n={n} batch={batch} {spec}: {found}"
    assert refused == []


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("name", default_strategies())
def test_a_strategy_serves_an_operator_or_says_why_not(name: str, operator: str) -> None:
    strategy = STRATEGIES[name]()
    x = torch.zeros(2, 3)
    f = (lambda x: x.sum(-1)) if OPERATORS[operator].kind == "scalar" else torch.sin
    reason = strategy.refuse(OPERATORS[operator])
    if reason is None:
        strategy.prepare(operator, f, x)(x)
    else:
        with pytest.raises(UnsupportedError) as raised:
            strategy.prepare(operator, f, x)
        assert str(raised.value) == f"{name} cannot serve the {operator}: {reason}"


def test_ones_sums_all_entries_of_the_jacobian() -> None:
    for name, problem in PROBLEMS.items():
        if problem.kind != "field":
            continue
        n = sizes(problem)[-1]
        instance = problem.instance(n, 1)
        J = torch.func.jacrev(instance.f)(instance.x[0], *(arg[0] for arg in instance.args))
        args = instance.args
        ones = parse_strategy("ones").prepare("divergence", instance.f, instance.x, args=args)(instance.x, *args)
        torch.testing.assert_close(ones[0], J.sum(), rtol=1e-12, atol=1e-12 * J.abs().sum().item(), msg=name)


def test_ones_on_the_seeds_counter_example_is_92_where_the_trace_is_62() -> None:
    instance = PROBLEMS["seed_coupled"].instance(3, 1)
    assert parse_strategy("ones").prepare("divergence", instance.f, instance.x)(instance.x).tolist() == [92]
    assert parse_strategy("identity").prepare("divergence", instance.f, instance.x)(instance.x).tolist() == [62]


@pytest.mark.parametrize("spec", ["identity", "ones"])
def test_sine_at_1001_points_is_exact(spec: str) -> None:
    instance = PROBLEMS["sin"].instance(1001, 1)
    reference = instance.reference("divergence")
    with torch.no_grad():
        result = parse_strategy(spec).prepare("divergence", instance.f, instance.x)(instance.x)
    found = errors(result, reference.value("divergence"), reference.scale("divergence"))
    assert (found.abs_error, found.exact) == (0.0, True)
