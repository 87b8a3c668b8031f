"""Networks of trained sizes: found by module and name, and right."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from jacstrat import PROBLEMS
from jacstrat.problems import trained
from jacstrat.problems.base import Problem
from jacstrat.problems.dense import dense_reference
from jacstrat.problems.load import find_problem

NETWORKS = [name for name, found in vars(trained).items() if isinstance(found, Problem)]


@pytest.mark.parametrize("name", NETWORKS)
def test_each_is_found_and_its_closed_form_is_that_of_autograd(name: str) -> None:
    problem = find_problem(f"jacstrat.problems.trained:{name}")
    assert problem.name == f"jacstrat.problems.trained:{name}" or problem.name == name
    n = min(problem.sizes[0], 16) if name != "attention_16x4_32" else 16
    instance = problem.instance(n, 2)
    assert instance.value().shape == (2,)
    dense = dense_reference(instance.f, instance.x, "laplacian")
    for on_device in (False, True):
        found = instance.reference("laplacian", on_device)
        assert found.closed == (problem.diagonal is not None)
        assert np.abs(found.diagonal - dense.diagonal).max() < 1e-13


def test_they_are_not_on_the_list_that_every_strategy_is_tested_on() -> None:
    assert len(NETWORKS) == 8
    assert not {*NETWORKS} & {*PROBLEMS}


def test_attention_needs_its_tokens() -> None:
    with pytest.raises(Exception, match="n must be a multiple of 16, the tokens"):
        trained.attention_16x4_32.instance(60, 1, torch.float32)
