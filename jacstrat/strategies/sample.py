"""The points at which a claim is looked at: some of the real ones, and some with random numbers beside them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

# Rows from which on points with random numbers take the places of rows that are not looked at.
SPARE = 8
# Parts from each of which a row is looked at.
PARTS = 8
# How far they lie from real ones, as a share of each coordinate and of the mean size of all.
JITTER, FLOOR = 0.1, 0.03
# The least share of a coordinate that is left where points lie far: f may be flat where x is, as behind a clamp.
LEAST = 0.1


class Sample(NamedTuple):
    """Points, and which of them are looked at.

    Fields:
        points: In the shape of x.
        rows: Numbers of rows; None for all, or where x is a single point.
    """

    points: Tensor
    rows: Tensor | None

    @property
    def is_longer(self) -> bool:
        """Whether a row is looked at twice: there are no points with others in place of these."""
        return self.rows is not None and len(self.rows) > len(self.points)

    @property
    def seen(self) -> Tensor:
        """The points that are looked at."""
        return self.points if self.rows is None else self.points[self.rows]

    def placed(self, seen: Tensor) -> Tensor:
        """All points, with others in place of those that are looked at."""
        return seen if self.rows is None else self.points.index_copy(0, self.rows, seen)

    def of(self, result: Tensor, axis: int = 0) -> Tensor:
        """What a result for all points has for those that are looked at, its rows along an axis."""
        return result if self.rows is None else result.index_select(axis, self.rows)


def samples(x: Tensor) -> tuple[Sample, ...]:
    """Rows from all parts, the smallest and the largest, those with a zero and with a tie, and two with random numbers.

    Few rows are all looked at, and then all with random numbers. With as many rows as coordinates what mixes up the two
    may show nothing: then once more with the first row twice.
    """
    x = x.detach()
    if x.dim() == 1 or len(x) < SPARE:
        generic = _generic(x)
        found = (Sample(x, None), Sample(generic, None))
        if x.dim() == 1 or len(x) != x.shape[-1] or len(x) == 1:
            return found
        return (*found, Sample(generic, torch.tensor([*range(len(x)), 0], device=x.device)))
    B = len(x)
    spread = (k * B // PARTS for k in range(1, PARTS))
    real = dict.fromkeys((0, B // 2, B - 1, *_special(x), *_extreme(x), *spread))
    real = dict.fromkeys(list(real)[: B - 2])
    spare = [row for row in dict.fromkeys((B // 3, (3 * B) // 4 + 1, 1, B - 2, *range(B))) if row not in real][:2]
    points = x.clone()
    points[spare] = _generic(x[spare])
    return (Sample(points, torch.tensor([*real, *spare], device=x.device)),)


def _extreme(x: Tensor) -> list[int]:
    """The smallest and the largest row: an operation may be active there alone, as a clamp is."""
    size = x.square().sum(-1)
    return [int(size.argmin()), int(size.argmax())]


def _special(x: Tensor) -> list[int]:
    """The first row with a zero, and the first with two equal entries."""
    masks = [(x == 0).any(-1)]
    if x.shape[-1] > 1:
        masks.append((x.sort(-1).values.diff() == 0).any(-1))
    return [int(mask.to(torch.uint8).argmax()) for mask in masks if bool(mask.any())]


def _generic(x: Tensor) -> Tensor:
    """Points with nothing special about them, of the signs of x but near 0: one far from it, the next beside it, ..."""
    generator = torch.Generator().manual_seed(x.shape[-1])
    noise = torch.randn(x.shape, generator=generator, dtype=torch.float64, device="cpu").to(x)
    share = LEAST + (1 - LEAST) * torch.rand(x.shape, generator=generator, dtype=torch.float64, device="cpu").to(x)
    size = x.abs().mean()
    is_far = (
        (torch.arange(len(x), device=x.device) % 2 == 0).unsqueeze(-1)
        if x.dim() == 2
        else torch.tensor(True, device="cpu")
    )
    scaled = x * torch.where(is_far.to(x.device), share, 1 + JITTER * noise)
    return scaled + FLOOR * torch.where(size > 0, size, 1.0).to(x.dtype) * noise.flip(-1)
