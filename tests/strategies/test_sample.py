"""The points at which a claim is looked at: real ones from different parts, special ones, and generic ones."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from jacstrat.strategies.sample import SPARE, Sample, samples


def points(B: int, n: int = 4, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(B, n, dtype=dtype, generator=torch.Generator().manual_seed(0))


def is_generic(x: Tensor) -> bool:
    """Whether it has neither zeros nor two equal entries."""
    return bool((x != 0).all()) and bool((x.sort(-1).values.diff() != 0).all())


@pytest.mark.parametrize("x", [points(1)[0], points(1), points(SPARE - 1)], ids=["point", "row", "few"])
def test_few_points_are_all_looked_at_and_once_more_with_random_numbers(x: Tensor) -> None:
    real, generic = samples(x)
    assert real.rows is generic.rows is None
    assert torch.equal(real.seen, x)
    assert generic.seen.shape == x.shape
    assert generic.seen.dtype == x.dtype
    assert not torch.equal(generic.seen, x)


def test_as_many_rows_as_coordinates_are_looked_at_once_more_with_one_twice() -> None:
    *_, generic, more = samples(points(3, 3))
    assert torch.equal(more.seen, generic.points[[0, 1, 2, 0]])
    assert torch.equal(more.placed(more.seen), generic.points)
    assert len(samples(points(1, 1))) == 2


def test_random_numbers_lie_near_and_are_the_same_each_time() -> None:
    x = points(5)
    generic = samples(x)[1].points
    assert torch.equal(generic, samples(x.clone())[1].points)
    assert (generic - x).abs().max() < x.abs().max()
    assert torch.equal(samples(x.float())[1].points.sign(), samples(x)[1].points.float().sign())


@pytest.mark.parametrize("special", [0.0, 1.0, -2.0])
def test_nothing_special_is_left_at_random_numbers(special: float) -> None:
    generic = samples(torch.full((3, 4), special, dtype=torch.float64))[1].points
    assert is_generic(generic)
    if special:
        assert bool((generic.sign() == torch.tensor(special).sign()).all())


def test_of_many_rows_those_at_the_ends_and_between_are_looked_at() -> None:
    x = points(100)
    (sample,) = samples(x)
    assert sample.rows is not None
    rows = sample.rows.tolist()
    assert rows[:3] == [0, 50, 99]
    assert len(rows) == len(set(rows)) <= 15
    size = x.square().sum(-1)
    assert {int(size.argmin()), int(size.argmax())} < set(rows)
    spare = rows[-2:]
    assert torch.equal(sample.seen[:-2], x[rows[:-2]])
    assert not bool((sample.seen[-2:] == x[spare]).any())
    others = [row for row in range(100) if row not in spare]
    assert torch.equal(sample.points[others], x[others])


def test_rows_with_a_zero_and_with_a_tie_are_looked_at() -> None:
    x = points(100)
    x[17, 2], x[41, 0], x[63, 3] = 0.0, x[41, 2], 0.0
    (sample,) = samples(x)
    assert sample.rows is not None
    assert sample.rows.tolist()[:5] == [0, 50, 99, 17, 41]
    assert torch.equal(sample.seen[3:5], x[[17, 41]])
    assert is_generic(sample.seen[5:])


def test_one_coordinate_has_no_ties() -> None:
    (sample,) = samples(points(20, n=1))
    assert sample.rows is not None
    assert 5 <= len(sample.rows) == len(set(sample.rows.tolist()))


@pytest.mark.parametrize("B", range(SPARE, SPARE + 5))
def test_no_row_is_looked_at_twice(B: int) -> None:
    x = points(B)
    x[1, 1], x[2, 0] = 0.0, x[2, 1]
    (sample,) = samples(x)
    assert sample.rows is not None
    rows = sample.rows.tolist()
    assert 7 <= len(rows) == len(set(rows)) <= B
    assert {0, 1, 2, B // 2, B - 1} <= set(rows)


def test_x_is_left_as_it_is() -> None:
    x = points(10).requires_grad_()
    before = x.detach().clone()
    (sample,) = samples(x)
    assert not sample.points.requires_grad
    assert torch.equal(x.detach(), before)


def test_what_is_seen_is_put_in_place_and_read_off() -> None:
    x = points(6)
    sample = Sample(x, torch.tensor([4, 1]))
    assert torch.equal(sample.seen, x[[4, 1]])
    moved = sample.placed(sample.seen + 1)
    assert torch.equal(moved[[4, 1]], x[[4, 1]] + 1)
    assert torch.equal(moved[[0, 2, 3, 5]], x[[0, 2, 3, 5]])
    assert torch.equal(sample.of(moved), x[[4, 1]] + 1)
    assert torch.equal(sample.of(moved.T, 1), (x[[4, 1]] + 1).T)
    whole = Sample(x, None)
    assert whole.seen is x
    assert whole.placed(moved) is moved
    assert whole.of(moved) is moved


def test_gradients_go_through_the_place() -> None:
    x = points(6)
    sample = Sample(x, torch.tensor([4, 1]))
    seen = sample.seen.requires_grad_()
    (g,) = torch.autograd.grad(sample.placed(seen).square().sum(), seen)
    torch.testing.assert_close(g, 2 * x[[4, 1]])
