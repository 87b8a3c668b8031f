"""Finding a problem by name, file or module."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from jacstrat import PROBLEMS, UsageError
from jacstrat.measure.memory import peak_bytes
from jacstrat.problems.dense import dense_reference
from jacstrat.problems.load import find_problem

SOURCE = """
import neighbour
from jacstrat import Problem

def field(x):
    return neighbour.factor * x

number = 3
problem = Problem(name="mine", kind="field", formula="", answer="", function=field, diagonal=None, structure="diagonal")
"""


@pytest.fixture
def place(tmp_path):
    (tmp_path / "neighbour.py").write_text("factor = 2")
    (tmp_path / "mine.py").write_text(SOURCE)
    yield tmp_path / "mine.py"
    sys.modules.pop("neighbour", None)


def test_a_name_is_one_of_the_table() -> None:
    assert find_problem("sin") is PROBLEMS["sin"]
    with pytest.raises(UsageError, match="unknown problem 'cos'"):
        find_problem("cos")


def test_a_function_in_a_file_with_its_neighbours(place) -> None:
    problem = find_problem(f"{place}:field")
    assert (problem.name, problem.kind, problem.diagonal) == (f"{place}:field", None, None)
    assert problem.operators == ("divergence", "jacobian_diagonal", "laplacian")
    instance = problem.instance(3, 2)
    assert torch.equal(instance.f(instance.x), 2 * instance.x)
    assert str(place.parent) not in sys.path


def test_a_problem_in_a_file_is_that_problem_and_its_file_runs_once(place) -> None:
    problem = find_problem(f"{place}:problem")
    assert problem.name == "mine"
    assert find_problem(f"{place}:problem") is problem


def test_a_module() -> None:
    assert find_problem("torch:sin").function is torch.sin


def test_a_file_without_a_name_in_it_says_what_it_has(place) -> None:
    with pytest.raises(
        UsageError, match=r"mine.py is a file: name what is in it, .*mine.py:ATTR; it has field, problem$"
    ):
        find_problem(str(place))
    with pytest.raises(UsageError, match="absent.py does not exist"):
        find_problem(str(place.with_name("absent.py")))


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ("feild", "unknown attribute 'feild'; did you mean field"),
        ("number", "is a int, neither a Problem nor a function of x"),
    ],
)
def test_what_is_no_function(place, attribute: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        find_problem(f"{place}:{attribute}")


def test_a_file_that_does_not_run_says_why_and_may_be_mended(tmp_path) -> None:
    file = tmp_path / "broken.py"
    file.write_text("import nonsense_that_is_not_there")
    with pytest.raises(UsageError, match=r"broken\.py cannot be imported: ModuleNotFoundError: No module named"):
        find_problem(f"{file}:f")
    file.write_text("raise SystemExit(0)")
    with pytest.raises(UsageError, match=r"broken\.py cannot be imported: SystemExit: 0"):
        find_problem(f"{file}:f")
    file.write_text("raise ValueError('two\\nlines')")
    with pytest.raises(UsageError, match=r"ValueError: two lines$"):
        find_problem(f"{file}:f")
    file.write_text("def f(x): return x")
    assert find_problem(f"{file}:f").name == f"{file}:f"


@pytest.mark.parametrize("batch", [1, 4])
def test_the_dense_reference_of_a_field_and_of_a_scalar(batch: int) -> None:
    x = torch.rand(batch, 3)
    A = torch.arange(9.0).reshape(3, 3).double()
    field = dense_reference(lambda x: x @ A.T, x, "divergence")
    assert field.source == "dense autograd in float64"
    assert field.diagonal.tolist() == [[0, 4, 8]] * batch
    scalar = dense_reference(lambda x: ((x @ A) * x).sum(-1), x, "laplacian")
    assert scalar.diagonal.tolist() == [[0, 8, 16]] * batch
    assert dense_reference(lambda x: x.sum(-1), x, "laplacian").diagonal.tolist() == [[0, 0, 0]] * batch
    assert dense_reference(torch.ones_like, x, "divergence").diagonal.tolist() == [[0, 0, 0]] * batch


def test_the_dense_reference_takes_the_memory_of_one_row() -> None:
    x = torch.rand(8, 300, dtype=torch.float64)
    taken = peak_bytes(lambda: dense_reference(lambda x: x * x, x, "divergence"), "cpu")
    # f's graph, a row, its way through autograd, the diagonal: all of the size of x, and not 300 of them.
    assert x.nbytes < taken < 20 * x.nbytes


def test_a_function_that_holds_weights_of_its_own_dtype_is_compared_in_that() -> None:
    W = torch.ones(3, 3)
    found = dense_reference(lambda x: x @ W, torch.rand(2, 3), "divergence")
    assert found.source == "dense autograd in float32"
    assert found.diagonal.tolist() == [[1, 1, 1]] * 2


NET = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_module_is_copied_to_the_dtype_and_compared_in_float64(tmp_path, dtype: torch.dtype) -> None:
    problem = replace(find_problem("torch:sin"), function=NET)
    instance = problem.instance(3, 2, dtype)
    assert instance.f(instance.x).dtype == dtype
    assert list(instance.parameters) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    reference = instance.reference("divergence")
    assert reference.source == "dense autograd in float64"
    J = torch.func.vmap(torch.func.jacrev(instance.f))(instance.x)
    torch.testing.assert_close(J.diagonal(dim1=1, dim2=2).double(), torch.from_numpy(reference.diagonal.astype(float)))
    assert NET[0].weight.dtype == torch.float32


def test_a_module_may_go_to_the_meta_device() -> None:
    instance = replace(find_problem("torch:sin"), function=NET).instance(3, 2, device="meta")
    assert instance.f(instance.x).is_meta


def test_a_file_whose_name_is_no_text_is_one_line(tmp_path) -> None:
    name = os.fsdecode(bytes(tmp_path) + b"/f\xff.py")
    Path(name).write_text("def f(x):\n    return x\n")
    with pytest.raises(UsageError, match=r"is no text in UTF-8; rename the file, or link to it under another name"):
        find_problem(f"{name}:f")
