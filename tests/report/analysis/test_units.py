import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jacstrat.report.analysis.units import (
    format_bytes,
    format_error,
    format_factor,
    format_multiple,
    format_quartiles,
    format_range,
    format_ratio,
    format_seconds,
    format_spans,
    listed,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0.0, "0 s"),
        (1e-12, "0.001 ns"),
        (1e-9, "1.00 ns"),
        (9.994e-9, "9.99 ns"),
        (9.996e-9, "10.0 ns"),
        (99.96e-9, "100 ns"),
        (999.4e-9, "999 ns"),
        (999.6e-9, "1.00 µs"),
        (12.34e-6, "12.3 µs"),
        (999.6e-6, "1.00 ms"),
        (0.9996, "1.00 s"),
        (59.99, "60.0 s"),
        (1234.5, "1234 s"),
        (math.inf, "inf s"),
    ],
)
def test_seconds(seconds: float | None, text: str) -> None:
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (None, ""),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.00 KiB"),
        (1536, "1.50 KiB"),
        (1024 * 1023, "1023 KiB"),
        (1024**2 - 1, "1.00 MiB"),
        (1024**3, "1.00 GiB"),
        (1024**4, "1.00 TiB"),
        (1024**5, "1024 TiB"),
    ],
)
def test_bytes(size: int | None, text: str) -> None:
    assert format_bytes(size) == text


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (None, ""),
        (0.0, "0"),
        (1.24e-16, "1.2e-16"),
        (0.0099, "9.9e-03"),
        (0.314, "0.31"),
        (99.0, "99"),
        (1234.0, "1.2e+03"),
        (math.inf, "inf"),
    ],
)
def test_error(error: float | None, text: str) -> None:
    assert format_error(error) == text


@pytest.mark.parametrize(
    ("ratio", "text"),
    [(None, ""), (0.05, "0.05"), (0.9999, "1.00"), (3.14159, "3.14"), (99.96, "100"), (1234.4, "1234"), (1e6, "1e+06")],
)
def test_ratio_and_factor(ratio: float | None, text: str) -> None:
    assert format_ratio(ratio) == text
    assert format_factor(ratio) == (f"{text}×" if text else "")


def test_quartiles_share_the_unit_of_the_median() -> None:
    assert format_quartiles(12.3e-6, 12.1e-6, 1.29e-3) == "12.3 µs [12.1, 1290]"
    assert format_quartiles(0.9996, 0.5, 2.0) == "1.00 s [0.500, 2.00]"


def test_quartiles_without_a_value() -> None:
    assert format_quartiles(12.3e-6, None, 1e-3) == "12.3 µs"
    assert format_quartiles(None, 1e-6, 1e-3) == ""


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        ("1.00 µs", "1.00 µs", "1.00 µs"),
        ("3.1 µs", "4.2 µs", "3.1–4.2 µs"),
        ("3.1 µs", "4.2 ms", "3.1 µs–4.2 ms"),
        ("1.1×", "38×", "1.1–38×"),
        ("1e-16", "2e-16", "1e-16–2e-16"),
        ("4", "64", "4–64"),
    ],
)
def test_range_names_a_common_unit_once(low: str, high: str, text: str) -> None:
    assert format_range(low, high) == text


def test_spans() -> None:
    assert format_spans([(1, 8), (64, 64)]) == "1–8, 64"
    assert format_spans([]) == ""


@given(st.floats(1e-9, 1e5))
def test_seconds_read_back_within_half_a_percent(seconds: float) -> None:
    number, unit = format_seconds(seconds).split()
    scale = {"ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1.0}[unit]
    assert float(number) * scale == pytest.approx(seconds, rel=0.0051)
    assert unit == "s" or 1 <= float(number) < 1000


@given(st.integers(0, 2**49))
def test_bytes_read_back_within_half_a_percent(size: int) -> None:
    number, unit = format_bytes(size).split()
    scale = 1024 ** ("B", "KiB", "MiB", "GiB", "TiB").index(unit)
    assert float(number) * scale == pytest.approx(size, rel=0.0051)
    assert float(number) < 1024


@pytest.mark.parametrize(
    ("value", "text"), [(0.3141, "0.314"), (1.044, "1.04"), (1.996, "2.0"), (3.46, "3.5"), (9.96, "10"), (118.4, "118")]
)
def test_multiples_as_a_sentence_says_them(value: float, text: str) -> None:
    assert format_multiple(value) == text


@pytest.mark.parametrize(
    ("words", "text"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_a_list_in_a_sentence(words: list[str], text: str) -> None:
    assert listed(words) == text
