"""Whether a weight has the numbers that it had."""

from __future__ import annotations

import torch

from jacstrat.strategies.weights.numbers import WeightNumbers


def test_a_weight_on_a_device_is_not_read_to_see_whether_it_changed() -> None:
    weight = torch.empty(4, 4, device="meta")  # whoever reads one raises
    numbers = WeightNumbers.of(weight)
    assert numbers.host is None
    assert numbers.are_those_of(weight)
    weight.mul_(2)
    assert not numbers.are_those_of(weight)
