"""jet as a strategy: what it is told of functions, what it refuses, and, where it is installed, that it is right."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from jacstrat_jet import Jet
from jacstrat_jet.program import function

from jacstrat import PROBLEMS, UnsupportedError, UsageError
from jacstrat.peers.process import end_all
from jacstrat.peers.program import Program
from jacstrat.problems.base import no_arguments

installed = pytest.mark.skipif(Jet().missing is not None, reason=str(Jet().missing))
# jet's operators are of functions of one tensor: none whose arguments go with the points.
SCALARS = [name for name, one in PROBLEMS.items() if one.kind == "scalar" and one.arguments is no_arguments]


@pytest.fixture(scope="module", autouse=True)
def _ended() -> Iterator[None]:
    yield
    end_all()


@pytest.mark.parametrize("name", SCALARS)
def test_a_program_is_the_function(name: str) -> None:
    problem = PROBLEMS[name]
    instance = problem.instance(n=max(problem.sizes[0], 2) if 2 in problem.sizes else problem.sizes[0], batch=3)
    program = Program.of(instance.f, instance.x, instance.args)
    tensors = {name: torch.from_numpy(one) for name, one in program.inputs(instance.x, instance.args).items()}
    f = function(program.plain, tensors, torch.device("cpu"))
    found = torch.stack([f(point) for point in instance.x])
    assert torch.allclose(found, instance.value(), rtol=1e-13, atol=1e-15)


def test_layers_are_written_in_operations_that_jet_has_rules_for() -> None:
    layers = torch.nn.Sequential(torch.nn.LayerNorm(4), torch.nn.SiLU(), torch.nn.Softmax(-1)).double()
    x = torch.rand(3, 4, dtype=torch.float64)
    program = Program.of(lambda x: layers(x).square().sum(-1), x, ())
    tensors = {name: one.detach() for name, one in program.constants.items()}
    f = function(program.plain, tensors, torch.device("cpu"))
    assert torch.allclose(torch.stack([f(one) for one in x]), layers(x).square().sum(-1))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"form": "fast"}, "form must be one of eager, graph, compiled, replayed, got 'fast'"),
        ({"tile": 0}, "tile must be a positive integer or all, got 0; leave it out for all points"),
        ({"tile": True}, "tile must be a positive integer or all, got True"),
    ],
)
def test_a_bad_parameter_says_the_remedy(values: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Jet(**values)


def test_a_field_has_no_laplacian() -> None:
    if Jet().missing is None:
        with pytest.raises(UnsupportedError, match="it serves the laplacian and the bilaplacian"):
            Jet().prepare("divergence", torch.sin, torch.zeros(2))
    assert Jet(form="compiled", tile=16).spec == "jet:form=compiled,tile=16"


@installed
@pytest.mark.parametrize("strategy", [Jet(), Jet(form="graph"), Jet(tile=2), Jet(form="graph", tile=2)])
def test_the_laplacian_is_right_in_every_form_and_in_tiles(strategy: Jet) -> None:
    instance = PROBLEMS["tanh_scalar"].instance(n=4, batch=5)
    with torch.no_grad():
        found = strategy.prepare("laplacian", instance.f, instance.x)
        result = found(instance.x)
        again = found(instance.x + 0.1)
    expected = torch.from_numpy(instance.reference("laplacian").value("laplacian").astype("float64"))
    assert torch.allclose(result, expected, rtol=1e-12)
    assert not torch.allclose(again, expected)
    assert found.contraction.remote.software["precision"] == "float32_matmul_precision=highest"


@installed
def test_the_bilaplacian_is_right_and_what_jet_has_no_rule_for_is_named() -> None:
    plate = PROBLEMS["plate"].instance(n=2, batch=3)
    with torch.no_grad():
        result = Jet().prepare("bilaplacian", plate.f, plate.x)(plate.x)
        expected = torch.from_numpy(plate.reference("bilaplacian").value("bilaplacian").astype("float64"))
        assert torch.allclose(result, expected, rtol=1e-11)
        with pytest.raises(UnsupportedError, match=r"jet cannot: NotImplementedError: No jet rule for aten\.prod"):
            Jet().prepare("laplacian", lambda x: x.sin().prod(-1), torch.rand(2, 3))
