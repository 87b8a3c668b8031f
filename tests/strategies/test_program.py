"""A program: what a compiler cannot do is unsupported, what it makes is right; each takes seconds to compile."""

from __future__ import annotations

import warnings

import pytest
import torch

from jacstrat import UnsupportedError, WrongResultError, laplacian
from jacstrat.strategies.program import CompiledProgram, ProgramSignature, compiling, start_compiler
from tests.strategies.programs import Network, X, prepared


@pytest.fixture
def net() -> Network:
    return Network()


@pytest.mark.parametrize(
    ("name", "remedy"), [("InvalidCxxCompiler", "install g\\+\\+ or clang"), ("TritonMissing", "install the triton")]
)
def test_a_missing_compiler_is_unsupported_with_the_remedy(name: str, remedy: str) -> None:
    error = ValueError("wrapped")
    error.__cause__ = type(name, (RuntimeError,), {})()
    with pytest.raises(UnsupportedError, match=f"^torch cannot compile here: .*{remedy}"), compiling(X.device):
        raise error


@pytest.mark.parametrize("error", [MemoryError, torch.OutOfMemoryError, WrongResultError, KeyboardInterrupt])
def test_what_is_no_limit_of_the_compiler_goes_through(error: type[BaseException]) -> None:
    with pytest.raises(error), compiling(X.device):
        raise error("mine")


def test_without_a_cxx_compiler_it_is_unsupported(net: Network) -> None:
    from torch._inductor import config

    # A size that no other test compiles, since a kernel that is on disk needs no compiler.
    x = torch.ones(7, 3, dtype=torch.float64)
    with (
        config.patch({"cpp.cxx": ("/no/such/compiler",), "force_disable_caches": True}),
        pytest.raises(
            UnsupportedError, match=r"^torch cannot compile here: no C\+\+ compiler was found; install g\+\+"
        ),
    ):
        prepared("compiled(vmap)", net, x)


# From here on programs are real: each takes a second or two to compile, the first of a machine more.


def test_starting_the_compiler_changes_nothing_and_may_fail() -> None:
    before = torch.get_rng_state(), torch.is_grad_enabled(), torch.get_num_threads()
    start_compiler(X.device)
    start_compiler(torch.device("meta"))
    torch.testing.assert_close(torch.get_rng_state(), before[0])
    assert (torch.is_grad_enabled(), torch.get_num_threads()) == before[1:]


def test_a_program_gives_the_laplacian_and_follows_the_parameters(net: Network) -> None:
    with torch.no_grad():
        evaluate = prepared("compiled(vmap)", net)
        for _ in range(2):
            torch.testing.assert_close(evaluate(X), laplacian(net, X, "identity"))
            net.W.mul_(1.5)


def test_a_program_is_for_tensors_that_lie_as_they_lay(net: Network) -> None:
    with torch.no_grad():
        program = CompiledProgram.of(lambda x: x @ net.W, X)
        before, turned = net.W.data, net.W.data.mT.contiguous().mT
        assert program.serves(ProgramSignature.of(X))
        for other in (turned, before.float(), before.repeat(1, 2)):
            net.W.data = other
            assert not program.serves(ProgramSignature.of(X))
        net.W.data = turned.contiguous()
        assert program.serves(ProgramSignature.of(X))
        evaluate = prepared("compiled(vmap)", net)
        net.W.data = turned
        with warnings.catch_warnings():  # that it compiles again
            warnings.simplefilter("ignore", UserWarning)
            torch.testing.assert_close(evaluate(X), laplacian(net, X, "identity"))


def test_a_signature_is_of_what_a_program_depends_on() -> None:
    def of(x: torch.Tensor, *args: object) -> ProgramSignature:
        return ProgramSignature.of(x, args)

    x = torch.ones(1, 3, dtype=torch.float64)
    assert of(x) == of(x.clone()) == of(x.as_strided((1, 3), (7, 1))), "the stride of an axis of length 1"
    others = [x.float(), torch.ones(2, 3), x.as_strided((1, 3), (3, 0)), x.clone().requires_grad_()]
    assert all(of(x) != of(other) for other in others)
    with torch.no_grad():
        assert of(x) == of(x.clone().requires_grad_())
    assert of(x, 0.5) == of(x, 0.7)
    assert len({of(x), of(x, 1), of(x, 2), of(x, x), of(x, x.float()), of(x, 0.5)}) == 6


@pytest.mark.long
def test_a_program_of_taylor_trains(net: Network) -> None:
    evaluate = prepared("compiled(taylor)", net)
    optimiser = torch.optim.Adam(net.parameters(), lr=0.1)
    for _ in range(3):
        loss = evaluate(X).square().mean()
        expected = torch.autograd.grad(laplacian(net, X, "vmap").square().mean(), tuple(net.parameters()))
        optimiser.zero_grad()
        loss.backward()
        torch.testing.assert_close([p.grad for p in net.parameters()], list(expected))
        optimiser.step()
    g = torch.autograd.grad(evaluate(X).sum(), net.W, create_graph=True)
    with pytest.raises(RuntimeError, match="double backward"):
        g[0].sum().backward()
