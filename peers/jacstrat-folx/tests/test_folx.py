"""folx and JAX's Hessian as strategies: what they refuse, and, where they are installed, that they are right."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from jacstrat_folx import Folx, JaxHessian

from jacstrat import PROBLEMS, UnsupportedError, UsageError
from jacstrat.peers.process import end_all

installed = pytest.mark.skipif(Folx().missing is not None, reason=str(Folx().missing))
# An LU factorisation has no form in JAX here.
WITHOUT = ("wavefunction",)
SCALARS = [
    (name, operator)
    for name, one in PROBLEMS.items()
    if one.kind == "scalar" and name not in WITHOUT
    for operator in one.operators
    if operator.startswith("laplacian")
]


@pytest.fixture(scope="module", autouse=True)
def _ended() -> Iterator[None]:
    yield
    end_all()


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (Folx, {"sparsity": 2}, "sparsity must be a share from 0 to 1, got 2; 0.6 is what folx recommends"),
        (Folx, {"sparsity": True}, "sparsity must be a share from 0 to 1, got True"),
        (Folx, {"tile": "some"}, "tile must be a positive integer or all, got 'some'"),
    ],
)
def test_a_bad_parameter_says_the_remedy(kind: type, values: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        kind(**values)


def test_specs_and_what_is_served() -> None:
    assert Folx(sparsity=0.6, tile=16).spec == "folx:sparsity=0.6,tile=16"
    assert (Folx.serves, JaxHessian.serves) == (("laplacian",), ("laplacian", "hessian_diagonal"))


@installed
@pytest.mark.parametrize(("name", "operator"), SCALARS)
def test_every_scalar_with_weights_arguments_and_outputs_is_right(name: str, operator: str) -> None:
    problem = PROBLEMS[name]
    instance = problem.instance(n=2 if 2 in problem.sizes else problem.sizes[0], batch=3)
    asked = instance.operator(operator)
    with torch.no_grad():
        prepared = Folx().prepare(asked, instance.f, instance.x, args=instance.args)
        found = prepared(instance.x, *instance.args).numpy()
    reference = instance.reference(operator)
    assert (abs(found - reference.value(asked)) <= 1e-12 * reference.scale(asked)).all()


@installed
@pytest.mark.parametrize("strategy", [Folx(sparsity=0.6), Folx(tile=2), JaxHessian()])
def test_every_setting_is_right_and_its_precision_is_told(strategy: Folx) -> None:
    instance = PROBLEMS["tanh_scalar"].instance(n=4, batch=5, dtype=torch.float32)
    with torch.no_grad():
        prepared = strategy.prepare("laplacian", instance.f, instance.x)
        found = prepared(instance.x).numpy()
    reference = instance.reference("laplacian")
    assert (abs(found - reference.value("laplacian")) <= 1e-5 * reference.scale("laplacian")).all()
    assert prepared.contraction.remote.software["precision"] == "jax_default_matmul_precision=highest"


@installed
def test_an_operation_without_a_form_is_named() -> None:
    with (
        torch.no_grad(),
        pytest.raises(UnsupportedError, match=r"folx cannot: .*aten\.i0\.default, which have no form"),
    ):
        Folx().prepare("laplacian", lambda x: torch.i0(x).sum(-1), torch.rand(2, 3))
