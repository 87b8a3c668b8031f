"""Where several numbers are written to one place, the one that stays has the derivative, and none of the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from jacstrat import UnsupportedError, laplacian
from jacstrat.taylor.jet import Jet
from jacstrat.taylor.rule import NotCovered, TaylorCall
from jacstrat.taylor.written import WRITTEN
from tests.taylor.samples import COLUMNS, MASK, draw

K = 3
aten = torch.ops.aten
OLD = draw(3, 4)
# An operation, the arguments between v and the source, the source, and what stands behind it.
WRITES: dict[str, tuple[Any, tuple[Any, ...], Tensor, tuple[Any, ...]]] = {
    "scatter": (aten.scatter.src, (1, torch.tensor([[1, 1, 1], [0, 2, 0], [3, 3, 0]])), draw(3, 3, seed=1), ()),
    "scatter, more than is written": (aten.scatter.src, (0, torch.tensor([[2, 0, 1]])), draw(2, 5, seed=1), ()),
    "index_copy": (aten.index_copy.default, (1, COLUMNS), draw(3, 3, seed=1), ()),
    "index_put": (aten.index_put.default, ([None, COLUMNS],), draw(3, 3, seed=1), (False,)),
    "index_put, entries": (aten.index_put.default, ([COLUMNS % 3, COLUMNS],), draw(3, seed=1), (False,)),
    "index_put, one number": (aten.index_put.default, ([COLUMNS % 3, COLUMNS],), draw(seed=1), (False,)),
    "masked_scatter, more than is written": (aten.masked_scatter.default, (MASK,), draw(5, 4, seed=1), ()),
}


def jet(value: Tensor, varies: bool = True, number: int = 0) -> Jet:
    tangents, laplacian = draw(K, *value.shape, seed=10 + number), draw(*value.shape, seed=20 + number)
    return Jet(value, varies * tangents, varies * laplacian)


def traced(y: Tensor, old: Tensor, new: Tensor, of_old: Tensor, of_new: Tensor) -> Tensor:
    """The derivative of each entry: that of the old or of the new number that is found there; no two are alike."""
    expected = torch.empty_like(y)
    for place in torch.cartesian_prod(*map(torch.arange, y.shape)).unbind():
        where = tuple(place.tolist())
        if y[where] == old[where]:
            expected[where] = of_old[where]
        else:
            (source,) = (new.reshape(-1) == y[where]).nonzero()
            expected[where] = of_new.reshape(-1)[source]
    return expected


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("varies", [(True, True), (True, False), (False, True)], ids=["both", "old", "new"])
def test_the_number_that_stays_has_the_derivative(name: str, varies: tuple[bool, bool]) -> None:
    op, between, new, behind = WRITES[name]
    jets = [jet(value, yes, number) for number, (value, yes) in enumerate(zip((OLD, new), varies, strict=True))]
    v, source = (one if yes else one.value for one, yes in zip(jets, varies, strict=True))
    found = WRITTEN[op].apply(TaylorCall(op, (v, *between, source, *behind), {}))
    assert torch.equal(found.value, op(OLD, *between, new, *behind))
    assert bool((found.value != OLD).any())
    tangents = [traced(found.value, OLD, new, *(one.full()[k] for one in jets)) for k in range(K)]
    assert torch.equal(found.tangents, torch.stack(tangents))
    laplacian = torch.zeros_like(OLD) if found.laplacian is None else found.laplacian
    assert torch.equal(laplacian, traced(found.value, OLD, new, *(one.laplacian for one in jets)))


def by_index_copy(z: Tensor) -> Tensor:
    return z.index_copy(-1, COLUMNS, z[:, 1:].sin())


def by_stacking(z: Tensor) -> Tensor:
    s = z[:, 1:].sin()
    return torch.stack((s[:, 1], z[:, 1], z[:, 2], s[:, 2]), -1)


def test_so_do_gradients_of_the_laplacian() -> None:
    p = torch.linspace(0.5, 1.5, 4, dtype=torch.float64).requires_grad_()
    x = draw(3, 4)
    x[0] = 0

    def scalar(write: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        return lambda x: (write(p * x) * torch.linspace(0.5, 1.5, 4, dtype=x.dtype)).exp().prod(-1)

    torch.testing.assert_close(by_index_copy(x), by_stacking(x))
    found = laplacian(scalar(by_index_copy), x, "taylor")
    expected = laplacian(scalar(by_stacking), x, "identity")
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(torch.autograd.grad(found.sum(), p), torch.autograd.grad(expected.sum(), p))
    with pytest.raises(UnsupportedError, match="^identity is not right for this function: it is off by "):
        laplacian(scalar(by_index_copy), x, "identity")


def test_tangents_that_nobody_wants_are_not_made() -> None:
    arguments = (jet(OLD), 1, COLUMNS, jet(draw(3, 3, seed=1)))
    call = TaylorCall(aten.index_copy.default, arguments, {}, wants_tangents=False)
    found = WRITTEN[call.op].apply(call)
    assert found._tangents is None
    assert found.laplacian is not None


@pytest.mark.parametrize(
    ("op", "arguments"),
    [
        (aten.index_put.default, (jet(OLD), [None, COLUMNS], draw(3, 3), True)),
        (aten.scatter.src, (jet(OLD), 1, jet(COLUMNS.double().expand(3, 3)), draw(3, 3))),
    ],
    ids=["accumulated", "places that depend on x"],
)
def test_what_is_no_choice_between_numbers_is_left_to_the_rule_for_any(op: Any, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(NotCovered):
        WRITTEN[op].apply(TaylorCall(op, arguments, {}))
