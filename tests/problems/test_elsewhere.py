"""Closed forms in float64 by torch: those of the library are what numpy makes of them in longdouble."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from jacstrat import PROBLEMS
from jacstrat.problems.elsewhere import Array, UntranslatedError, evaluated
from jacstrat.problems.reference import wide

FORMS = [
    (name, spec)
    for name, problem in PROBLEMS.items()
    for spec in ([problem.operators[0]] if problem.diagonal else []) + list(problem.closed)
]
# ufunc.at has no place in torch.
BY_NUMPY = {"graph_diffusion"}


@pytest.mark.parametrize(("name", "spec"), FORMS)
def test_a_closed_form_is_the_same_by_torch_and_by_numpy(name: str, spec: str) -> None:
    problem = PROBLEMS[name]
    n = max(size for size in problem.sizes if size <= 8)
    instance = problem.instance(n, 3, torch.float32)
    by_torch, by_numpy = (instance.reference(spec, on_device) for on_device in (True, False))
    assert by_numpy.source == "closed form in numpy.longdouble"
    assert by_torch.closed
    if name in BY_NUMPY:
        assert by_torch.source == by_numpy.source
        return
    assert (by_torch.source, by_torch.dtype) == ("closed form in float64 on cpu", torch.float64)
    error = np.abs(by_torch.value(spec) - by_numpy.value(spec))
    assert (error <= 1e-14 * by_numpy.scale(spec)).all()


def test_many_points_go_through_together_and_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    instance = PROBLEMS["tanh_field"].instance(4, 7, torch.float32)
    expected = instance.reference("divergence").diagonal
    monkeypatch.setattr("jacstrat.problems.elsewhere.COORDINATES", 8)
    parts = instance.reference("divergence", on_device=True).diagonal
    assert np.abs(parts - expected).max() < 1e-14


@pytest.mark.parametrize(
    "form",
    [
        lambda x: np.asarray(x) * 2,
        lambda x: np.interp(x, [0, 1], [0, 1]),
        lambda x: np.add.reduce(x),
        lambda x: x.astype(np.float32),
        lambda x: np.apply_along_axis(np.cos, 0, x),
        lambda x: np.ones((2, 3)),
        lambda x: [x],
    ],
)
def test_what_torch_is_not_known_to_do_is_refused(form) -> None:
    with pytest.raises(UntranslatedError):
        evaluated(form, torch.ones(2, 3), (), {})


def test_numbers_of_numpy_and_entries_that_are_set_are_in_float64() -> None:
    def form(x):
        y = np.zeros_like(x, dtype=np.longdouble)
        y[..., 1:] = x[..., :-1] * np.longdouble(0.5)
        y += np.arange(3)
        return y / np.array([1, 2, 4])

    found = evaluated(form, torch.ones(2, 3), (), {})
    assert found.dtype == torch.float64
    assert found.tolist() == [[0, 0.75, 0.625]] * 2
    assert Array(found).shape == wide(found).shape == (2, 3)


def test_where_torch_has_no_float64_numpy_takes_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object) -> None:
        raise TypeError("Cannot convert a MPS Tensor to float64 dtype")

    monkeypatch.setattr("jacstrat.problems.base.evaluated", refuses)
    found = PROBLEMS["cubic"].instance(3, 2, torch.float32).reference("divergence", on_device=True)
    assert found.source == "closed form in numpy.longdouble"
