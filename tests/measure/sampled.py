"""Works sampled on a clock that the test tells."""

from __future__ import annotations

import random

from jacstrat.measure.sampling import (
    Settings,
    sample,
)

SETTINGS = Settings(limit_s=1.0, block_s=1e-3)


def run(clock, works, settings=SETTINGS, **options):
    return sample(works, clock, settings, random.Random(0), **options)
