"""What a picture knows of numbers."""

import math
import sys

from jacstrat.report.figures.picture import EPSILON


def test_the_epsilons_are_those_of_ieee() -> None:
    assert EPSILON["float64"] == sys.float_info.epsilon
    assert [math.log2(EPSILON[name]) for name in ("float32", "float16", "bfloat16")] == [-23, -10, -7]
