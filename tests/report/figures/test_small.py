from collections.abc import Callable

from jacstrat.record import Record
from jacstrat.report.figures.small import chosen, smalls

Make = Callable[..., Record]


def names(records: list[Record]) -> list[str]:
    return sorted(line.strategy for line in chosen(records))


def test_the_best_three_are_drawn_and_the_wrong_ones(record: Make) -> None:
    times = {"a": 1, "b": 2, "c": 3, "d": 4, "bad": 1, "worse": 1, "slow": 9}
    rows = [
        record(strategy=name, n=n, median_s=time * 1e-6, status="wrong" if name in ("bad", "worse") else "ok")
        for name, time in times.items()
        for n in (1, 2)
    ]
    assert names(rows) == ["a", "b", "bad", "c", "worse"]


def test_who_wins_at_the_most_n_comes_before_who_is_fastest_at_the_largest(record: Make) -> None:
    times = {"early": (1, 1, 9), "late": (2, 2, 1), "x": (3, 3, 2), "y": (4, 4, 3), "z": (5, 5, 4)}
    rows = [
        record(strategy=name, n=n, median_s=t * 1e-6)
        for name, ts in times.items()
        for n, t in zip((1, 2, 4), ts, strict=True)
    ]
    assert names(rows) == ["early", "late", "x"]


def test_one_a_place_workload_and_dtype_with_the_batch_that_has_the_most_n(record: Make) -> None:
    rows = [record(n=n, batch=batch) for batch in (1, 4) for n in (1, 2)]
    rows += [record(n=8, batch=64), record(dtype="float32"), record(workload="train"), record(device="cuda")]
    found = smalls(rows)
    assert (found[0].picture.setting.batch, found[0].others) == (4, (1, 64))
    assert len(found) == 4
    assert smalls([record(status="oom", median_s=None)]) == ()


def test_where_more_batches_were_run_than_n_it_is_drawn_against_batches(record: Make) -> None:
    rows = [record(n=n, batch=batch) for n in (4, 16) for batch in (1, 8, 64)]
    (small,) = smalls(rows)
    assert small.picture.xlabel == "B, number of points"
    assert [point.n for point in small.picture.series[0].points] == [1, 8, 64]
    assert (small.fixed_words, small.fixed_letter, small.others) == ("n = 16", "n", (4,))
    assert small.statement.answer == "vmap, the only right one at every B from 1 to 64"
    grid = smalls([*rows, record(n=64)])
    assert [(one.picture.xlabel, one.fixed_words) for one in grid] == [("n, number of inputs", "B = 1")]
    assert smalls([*rows, record(problem="cos"), record(problem="cos", n=2)])[0].picture.setting.size == "B"
