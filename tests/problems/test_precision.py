"""The closed forms in longdouble against forty digits: derivatives of the formulas themselves, taken by mpmath."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mpmath import mp, mpf

from jacstrat.problems import FAMILIES, PROBLEMS
from jacstrat.problems.base import Instance
from tests.problems.formulas import FORMULAS, exact
from tests.problems.test_problems import entries

pytestmark = pytest.mark.long(but_one_in=5)

EPS = np.finfo(np.longdouble).eps


@pytest.fixture(autouse=True)
def _forty_digits() -> Any:
    with mp.workdps(40):
        yield


def test_every_problem_has_a_formula() -> None:
    assert set(FORMULAS) == set(PROBLEMS)


def test_exact_keeps_every_digit_of_a_longdouble() -> None:
    assert exact(np.longdouble(1) + EPS) - 1 == mpf(float(EPS))


# Those with dozens of units a layer: few coordinates say as much as many, in less time.
NETWORKS = [problem.name for family in ("networks", "pinns", "flows", "scores") for problem in FAMILIES[family]]


def _sizes(name: str) -> list[int]:
    wanted = (2,) if name in NETWORKS else (6,) if name == "wavefunction" else (1, 2, 3, 4, 5, 6)
    return [n for n in wanted if PROBLEMS[name].refuse(n) is None]


@pytest.mark.parametrize(("name", "n"), [(name, n) for name in PROBLEMS for n in _sizes(name)])
def test_diagonal_has_the_digits_of_its_precision(name: str, n: int) -> None:
    instance = PROBLEMS[name].instance(n, batch=2, seed=7)
    diagonal = instance.reference(entries(instance.problem)).diagonal.reshape(2, -1)
    assert diagonal.dtype == np.longdouble
    # A dense autograd matrix has the digits of the float64 that it is computed in.
    eps = EPS if instance.problem.diagonal else np.finfo(np.float64).eps
    for row in range(2):
        true = [t for output in derivatives(instance, row) for t in output]
        error = max(abs(exact(value) - t) for value, t in zip(diagonal[row], true, strict=True))
        # 2e-33: what is left of forty digits where the answer itself is 0.
        assert error <= 16 * float(eps) * max(abs(t) for t in true) + mpf("2e-33")


@pytest.mark.parametrize(("name", "n"), [(name, _sizes(name)[-1]) for name in PROBLEMS])
def test_function_is_its_formula(name: str, n: int) -> None:
    instance = PROBLEMS[name].instance(n, batch=2, seed=7)
    weights = {key: _nested(value) for key, value in instance.parameters.items()}
    for row, values in enumerate(instance.value().detach().reshape(2, -1).tolist()):
        args = [_nested(arg[row]) for arg in instance.args]
        true = FORMULAS[name](_nested(instance.x[row]), *args, **weights)
        assert values == pytest.approx([float(t) for t in np.atleast_1d(true)], rel=1e-14, abs=1e-14)


def derivatives(instance: Instance, row: int) -> list[list[mpf]]:
    """dF_i/dx_i, or d2u/dx_i2 of each output, at one point: derivatives of t -> F(x + t e_i) at t = 0."""
    formula = FORMULAS[instance.problem.name]
    x = _nested(instance.x[row])
    weights = {name: _nested(value) for name, value in instance.parameters.items()}
    args = [_nested(arg[row]) for arg in instance.args]
    is_field = instance.problem.kind == "field"

    def along(i: int, output: int) -> mpf:
        def line(t: mpf) -> mpf:
            value = formula([a + t * (k == i) for k, a in enumerate(x)], *args, **weights)
            return value[i] if is_field else value[output] if isinstance(value, list) else value

        return mp.diff(line, 0, 1 if is_field else 2)

    several = 1 if is_field else instance.value()[row].numel()
    return [[along(i, output) for i in range(len(x))] for output in range(several)]


def _nested(tensor: Any) -> Any:
    return [_nested(part) for part in tensor] if tensor.dim() else mpf(tensor.item())
