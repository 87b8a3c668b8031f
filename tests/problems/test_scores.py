"""The error function in extended precision, and the score networks and the flow in their limits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp

from jacstrat.problems import PROBLEMS
from jacstrat.problems.scores import erf
from tests.problems.formulas import exact

EPS = np.finfo(np.longdouble).eps


@given(st.floats(-30, 30))
def test_erf_has_the_digits_of_longdouble(z: float) -> None:
    with mp.workdps(40):
        true = mp.erf(z)
        # `exact` goes by doubles, which end at 1e-308.
        error = abs(exact(erf(np.array([z], np.longdouble))[0]) - true)
        assert error <= 16 * float(EPS) * abs(true) + 1e-300


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
def test_erf_keeps_the_precision_of_its_argument(dtype: type) -> None:
    z = np.array([-7.5, -1, 0, 1e-3, 2.5, 6.99, 7.01, 40], dtype)
    found = erf(z)
    assert found.dtype == dtype
    expected = torch.special.erf(torch.from_numpy(z.astype(np.float64))).numpy()
    np.testing.assert_allclose(found.astype(np.float64), expected, rtol=16 * max(np.finfo(dtype).eps, 2.3e-16))
    assert (found == -erf(-z)).all()


@pytest.mark.parametrize("name", ["score_gelu", "score_silu"])
def test_without_blocks_a_score_is_two_linear_layers(name: str) -> None:
    problem = PROBLEMS[name]
    instance = problem.instance(4, batch=2)
    weights = {key: value.detach().numpy() for key, value in instance.parameters.items()}
    weights |= {key: 0 * weights[key] for key in ("V1", "V2")}
    assert problem.diagonal is not None
    expected = np.diagonal(weights["W_out"] @ weights["W_in"])
    np.testing.assert_allclose(problem.diagonal(instance.x.numpy(), **weights), [expected] * 2, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("name", ["score_gelu", "score_silu"])
def test_blocks_matter(name: str) -> None:
    instance = PROBLEMS[name].instance(4, batch=2)
    diagonal = instance.reference("divergence").diagonal
    assert np.abs(diagonal[0] - diagonal[1]).max() > 1e-3


def test_an_open_gate_at_time_zero_leaves_a_tanh_network() -> None:
    flow, field = PROBLEMS["flow"], PROBLEMS["tanh_field"]
    instance = flow.instance(3, batch=2)
    layers = {key: value.detach() for key, value in instance.parameters.items()}
    # sigmoid(50) is 1 in float64.
    opened = {key: torch.full_like(value, 50) if key[0] == "c" else value for key, value in layers.items()}
    opened["t"] = torch.zeros((), dtype=torch.float64)
    plain = {key: value for key, value in layers.items() if key[0] in "Wb"}
    torch.testing.assert_close(flow.function(instance.x, **opened), field.function(instance.x, **plain))
    assert flow.diagonal is not None
    assert field.diagonal is not None
    found = flow.diagonal(instance.x.numpy(), **{key: value.numpy() for key, value in opened.items()})
    expected = field.diagonal(instance.x.numpy(), **{key: value.numpy() for key, value in plain.items()})
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-14)


def test_the_flow_changes_with_time() -> None:
    instance = PROBLEMS["flow"].instance(3, batch=2)
    assert instance.parameters["t"].shape == ()
    assert 0 <= float(instance.parameters["t"].detach()) < 1
    layers = {key: value.detach() for key, value in instance.parameters.items()}
    later = instance.problem.function(instance.x, **layers | {"t": layers["t"] + 0.1})
    assert float((later - instance.f(instance.x).detach()).abs().min()) > 1e-4
