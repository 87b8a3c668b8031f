"""The gate of counts: the same on every machine, so that one more is one too many.

Where the version of torch differs, its own decompositions may: then operations, FLOPs and bytes are told and no
regression, while passes through f, which the strategy decides, still are. The peak of an accelerator is that of its
allocator, and holds for one kind of card.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from jacstrat.compare.verdict import Finding, Gate, Verdict

if TYPE_CHECKING:
    import pandas as pd

PRODUCTS = ("vjp_products", "jvp_products", "f_evaluations")
WORK = ("aten_ops", "flops", "peak_bytes")
COUNTS = (*PRODUCTS, *WORK)


def judge_counts(
    base: pd.DataFrame, new: pd.DataFrame, same_torch: bool, same_machine: bool
) -> Iterator[tuple[str, Finding]]:
    """What moved, by case.

    Args:
        base, new: Records of the same cases in the same order, indexed by case.
        same_torch: Both were measured with one version of torch.
        same_machine: Both were measured on machines of one kind.
    """
    judged = base["status"].isin(("ok", "wrong")) & new["status"].isin(("ok", "wrong"))
    base, new = base[judged], new[judged]
    for name in COUNTS:
        before, after = base[name], new[name]
        lost = before.notna() & after.isna()
        moved = (before.notna() & after.notna() & before.ne(after)).fillna(False)
        for case in base.index[lost]:
            reason = f"{name} was {before[case]}, now it is not counted"
            yield case, Finding(gate=Gate.COUNTS, verdict=Verdict.AMBIGUOUS, measure=name, reason=reason)
        for case in base.index[moved]:
            where = _excuse(name, str(base.at[case, "device"]), same_torch, same_machine)
            yield case, _finding(name, int(before[case]), int(after[case]), where)


def _excuse(name: str, device: str, same_torch: bool, same_machine: bool) -> str:
    """What may explain that the count differs; "" where nothing does."""
    if name in WORK and not same_torch:
        return "another torch"
    return "another machine" if name == "peak_bytes" and device != "cpu" and not same_machine else ""


def _finding(name: str, before: int, after: int, excuse: str) -> Finding:
    ratio = after / before if before else None
    change = "" if ratio is None else f" ({ratio - 1:+.2g})" if abs(ratio - 1) < 1e-3 else f" ({ratio - 1:+.1%})"
    worse = after > before
    return Finding(
        gate=Gate.COUNTS,
        verdict=Verdict.WORSE if worse else Verdict.BETTER,
        measure=name,
        base=before,
        new=after,
        ratio=ratio,
        reason=f"{name} {before} -> {after}{change}" + (f", with {excuse}" if excuse else ""),
        regression=worse and not excuse,
    )
