import re
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from matplotlib.markers import MarkerStyle

from jacstrat.report.figures.palette import DARK_GROUND, SOLID, STYLES, WRONG_DASH, contrast, on_dark, style

NAMES = sorted(set(STYLES) - {"f"})
VARIANTS = (
    [f"vmap:chunk_size={2**k}" for k in range(12)]
    + [f"vmap:chunk_size={k}" for k in (3, 5, 10, 20, 50, 100)]
    + ["vmap:chunk_size=all", "compiled(vmap)", "compiled(vmap:chunk_size=64)", "vmap"]
)


def test_the_named_strategies_have_entries_of_their_own() -> None:
    assert {"identity", "ones", "vmap", "jvp", "forward_over_forward", "jacrev", "jacfwd", "hessian"} <= set(STYLES)
    assert {"coloring", "hutchinson", "hutch++", "xtrace", "taylor", "chain", "auto", "f"} <= set(STYLES)


def test_an_entry_is_what_is_drawn() -> None:
    assert all(style(name) is STYLES[name] for name in STYLES)


def test_no_two_entries_share_a_marker_or_a_colour_within_an_operator() -> None:
    assert len({STYLES[name].marker for name in NAMES}) == len(NAMES)
    # forward_over_forward is for the Laplacian only, jacfwd is not: they never meet.
    assert len({STYLES[name].color for name in NAMES if name != "forward_over_forward"}) == len(NAMES) - 1


def test_colours_are_apart_from_each_other_and_from_white() -> None:
    colors = [to_rgb(value.color) for value in STYLES.values()] + [(1.0, 1.0, 1.0)]
    for one, other in combinations(set(colors), 2):
        assert sum(abs(a - b) for a, b in zip(one, other, strict=True)) > 0.12


def test_variants_of_a_family_differ() -> None:
    assert len({style(spec) for spec in VARIANTS}) == len(VARIANTS)


def test_variants_have_shades_of_the_family_colour() -> None:
    def hue(color: str) -> int:
        return max(range(3), key=lambda i: to_rgb(color)[i])

    assert {hue(style(spec).color) for spec in VARIANTS} == {hue(STYLES["vmap"].color)}
    assert STYLES["vmap"].color in {style(spec).color for spec in VARIANTS if spec != "vmap"}


@pytest.mark.parametrize("name", NAMES)
def test_every_shade_can_be_seen_on_white(name: str) -> None:
    # Relative luminance by WCAG 2: white is 1.
    for k in range(200):
        linear = [((c + 0.055) / 1.055) ** 2.4 if c > 0.04 else c / 12.92 for c in to_rgb(style(f"{name}:k={k}").color)]
        assert sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True)) < 0.6


def test_swapped_parameters_differ() -> None:
    assert style("hutchinson:probes=16,seed=1") != style("hutchinson:probes=1,seed=16")


def test_styles_are_stable_between_versions() -> None:
    # Plots of different runs are laid side by side, so a change here is a break.
    assert (style("ones").color, style("ones").marker) == ("#D55E00", "o")
    assert (style("vmap:chunk_size=64").color, style("vmap:chunk_size=64").marker) == ("#005686", "s")


def test_an_unknown_family_has_no_colour_of_a_known_one() -> None:
    known = {value.color for value in STYLES.values()}
    assert style("mine").color not in known
    assert style("mine:k=3").marker != style("mine").marker


@given(st.text())
def test_any_text_has_a_style_that_matplotlib_can_draw(spec: str) -> None:
    drawn = style(spec)
    assert drawn == style(spec)
    assert re.fullmatch("#[0-9A-F]{6}", drawn.color)
    assert spec in STYLES or MarkerStyle(drawn.marker).is_filled()
    assert drawn.dash != WRONG_DASH
    assert (drawn.dash == SOLID) == (spec in STYLES)


@pytest.mark.parametrize("name", NAMES)
def test_every_shade_can_be_seen_on_a_dark_ground(name: str) -> None:
    for k in range(200):
        color = style(f"{name}:k={k}").color
        seen = on_dark(color)
        assert contrast(seen, DARK_GROUND) >= 4
        assert (seen == color) == (contrast(color, DARK_GROUND) >= 4)


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#000000", "#FFFFFF") == contrast("#FFFFFF", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#FFFFFF") == pytest.approx(4.48, abs=0.01)


def test_grey_print_tells_them_apart_by_more_than_colour() -> None:
    """Marker or dash differ, of the strategies and of the usual chunk sizes; no grey is too pale for white paper."""
    for drawn in (NAMES, ["vmap", *(f"vmap:chunk_size={2**k}" for k in range(12))]):
        looks = {(style(spec).marker, style(spec).dash) for spec in drawn}
        assert len(looks) == len(drawn)
    assert min(contrast(style(name).color, "#FFFFFF") for name in NAMES) >= 2
