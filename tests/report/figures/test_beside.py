from collections.abc import Callable
from dataclasses import replace

from jacstrat.record import Record
from jacstrat.report.analysis.cross_run import RunSide, agreement
from jacstrat.report.figures.beside import besides, draw_beside

Make = Callable[..., Record]
Sweep = Callable[..., list[Record]]


def test_sides_share_strategies_and_the_ends_of_y(sweep: Sweep) -> None:
    cpu = sweep("linear")
    gpu = [replace(r, device="cuda", cost_ratio=(r.cost_ratio or 0) * 3) for r in cpu]
    (found,) = besides([RunSide("cpu", tuple(cpu)), RunSide("gpu", tuple(gpu))])
    left, right = found.pictures
    assert left.span == right.span
    assert {line.strategy for line in left.series} == {line.strategy for line in right.series}
    values = [point.value for picture in found.pictures for line in picture.series for point in line.points]
    low, high = left.span or (0.0, 0.0)
    assert low < min(values) <= max(values) < high
    assert found.column == "cost_ratio"
    assert [picture.setting.device for picture in found.pictures] == ["cpu", "cuda"]
    axes = draw_beside(found).axes
    assert axes[0].get_ylim() == axes[1].get_ylim() == found.pictures[0].span


def test_what_one_side_alone_has_is_not_there(record: Make) -> None:
    mine, its = record(cost_ratio=2.0), record(problem="cos", cost_ratio=2.0)
    assert besides([RunSide("one", (mine,)), RunSide("two", (its,))]) == ()
    assert agreement([RunSide("one", (mine,)), RunSide("two", (its,))]).startswith("They share no n of a problem, B,")


def test_the_sentence_counts_the_sizes_at_which_sides_agree(record: Make) -> None:
    def rows(fast: str) -> tuple[Record, ...]:
        times = {("a", 1): 1e-6, ("b", 1): 2e-6, ("a", 2): 1e-6 if fast == "a" else 3e-6, ("b", 2): 2e-6}
        return tuple(record(strategy=s, n=n, median_s=t) for (s, n), t in times.items())

    words = agreement([RunSide("one", rows("a")), RunSide("two", rows("b"))])
    assert words == "At 1 of 2 sizes that they share, one strategy is fastest, or level with it, on every side."
