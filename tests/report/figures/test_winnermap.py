from collections.abc import Callable

from matplotlib.colors import to_hex

from jacstrat.record import Record
from jacstrat.report.figures.palette import style
from jacstrat.report.figures.winnermap import NOTHING, draw_map, winner_maps

Make = Callable[..., Record]


def rows(record: Make) -> list[Record]:
    times = {("vmap", 1, 1): 2, ("jvp", 1, 1): 1, ("vmap", 8, 1): 1, ("jvp", 8, 1): 3, ("vmap", 1, 64): 1}
    found = [record(strategy=s, n=n, batch=b, median_s=t * 1e-6) for (s, n, b), t in times.items()]
    return [*found, record(n=8, batch=64, status="wrong"), record(n=16, batch=64)]


def test_the_cells_are_the_winners(record: Make) -> None:
    (found,) = winner_maps(rows(record))
    assert (found.ns, found.batches, found.setting.batch) == ((1, 8, 16), (1, 64), 0)
    won = {place: winner.strategy if winner else None for place, winner in found.cells.items()}
    assert won == {(1, 1): "jvp", (8, 1): "vmap", (1, 64): "vmap", (8, 64): None, (16, 64): "vmap"}


def test_the_patches_are_the_cells(record: Make) -> None:
    (found,) = winner_maps(rows(record))
    (axes,) = draw_map(found).axes
    drawn = {(p.get_x(), p.get_y()): (p.get_label(), to_hex(p.get_facecolor()).upper()) for p in axes.patches}
    expected = {
        (found.ns.index(n), found.batches.index(batch)): (
            (winner.strategy, style(winner.strategy).color) if winner else ("no right result", NOTHING)
        )
        for (n, batch), winner in found.cells.items()
    }
    assert drawn == expected
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "8", "16"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["1", "64"]
    assert "jvp\n2.00×" in [text.get_text() for text in axes.texts]


def test_one_batch_is_no_map(record: Make) -> None:
    assert winner_maps([record(n=n) for n in (1, 2)]) == ()
    assert winner_maps([record(batch=1), record(batch=2, dtype="float32")]) == ()


def test_a_grid_has_two_n_in_common_and_a_row_beside_it_is_left_out(record: Make) -> None:
    assert winner_maps([record(n=n, batch=1) for n in (1, 2, 4)] + [record(n=1, batch=8)]) == ()
    rows = [record(n=n, batch=batch) for n in (1, 2) for batch in (1, 8)]
    (found,) = winner_maps([*rows, record(n=3, batch=64)])
    assert (found.ns, found.batches) == ((1, 2), (1, 8))
