"""The gate of accuracy: statuses, and the relative error of results.

Rounding differs between machines: with other vector instructions errors of the quick sweep moved by up to 2.5 times,
and counts not at all. An error of up to half an epsilon is that of the exact answer, rounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from jacstrat.compare.verdict import Finding, Gate, Verdict

if TYPE_CHECKING:
    import pandas as pd

ERROR_FACTOR = 3.0
"""An error is WORSE where it is at least so many times what it was, and BETTER the other way round."""
EPSILON: Mapping[str, float] = {
    "float64": 2.0**-52,
    "float32": 2.0**-23,
    "tf32": 2.0**-10,
    "float16": 2.0**-10,
    "bfloat16": 2.0**-7,
}
"""Distance from 1 to the next number, by dtype: of tf32 that of its products."""

# From what one wants to what one does not; "wrong" is judged apart.
ORDER = ("ok", "unsupported", "skipped", "timeout", "oom", "error", "crashed")
# What these say is of the machine as much as of the strategy.
OF_THE_MACHINE = ("skipped", "timeout", "oom")


def judge_accuracy(base: pd.DataFrame, new: pd.DataFrame, same_machine: bool) -> Iterator[tuple[str, Finding]]:
    """What became of statuses and errors, by case.

    Args:
        base, new: Records of the same cases in the same order, indexed by case.
        same_machine: Both were measured on machines of one kind.
    """
    moved = base["status"].ne(new["status"])
    for case in base.index[moved]:
        before, after = str(base.at[case, "status"]), str(new.at[case, "status"])
        yield case, _status(before, after, str(new.at[case, "reason"]), same_machine)

    judged = base["status"].eq("ok") & new["status"].eq("ok")
    base, new = base[judged], new[judged]
    was, is_now = base["rel_error"], new["rel_error"]
    for case in base.index[was.notna() & is_now.isna()]:
        reason = f"rel_error was {was[case]:.2g}, now it is not known"
        yield case, Finding(gate=Gate.ACCURACY, verdict=Verdict.AMBIGUOUS, measure="rel_error", reason=reason)
    rounding = base["dtype"].map(EPSILON).astype("Float64") / 2
    # What is infinite is a multiple of itself.
    worse = (is_now.gt(rounding) & is_now.gt(was) & is_now.ge(ERROR_FACTOR * was)).fillna(False)
    better = (was.gt(rounding) & was.gt(is_now) & was.ge(ERROR_FACTOR * is_now)).fillna(False)
    for verdict, cases in ((Verdict.WORSE, base.index[worse]), (Verdict.BETTER, base.index[better])):
        for case in cases:
            yield case, _error(verdict, float(was[case]), float(is_now[case]))


def _status(before: str, after: str, reason: str, same_machine: bool) -> Finding:
    said = f"{before} -> {after}" + (f": {reason}" if reason and after != "ok" else "")
    verdict = _moved(before, after, same_machine)
    return Finding(
        gate=Gate.ACCURACY, verdict=verdict, measure="status", reason=said, regression=verdict is Verdict.WORSE
    )


def _moved(before: str, after: str, same_machine: bool) -> Verdict:
    if after == "wrong":
        return Verdict.WRONG
    if after == "ok" and before in ("wrong", "error", "crashed"):
        return Verdict.FIXED
    if not same_machine and (before in OF_THE_MACHINE or after in OF_THE_MACHINE):
        return Verdict.AMBIGUOUS
    if before == "wrong":
        # Refusing is better than a wrong answer; breaking down is not.
        return Verdict.BETTER if after == "unsupported" else Verdict.WORSE
    return Verdict.WORSE if ORDER.index(after) > ORDER.index(before) else Verdict.BETTER


def _error(verdict: Verdict, before: float, after: float) -> Finding:
    ratio = after / before if before else None
    times = "" if ratio is None else f", {ratio:.2g} times"
    return Finding(
        gate=Gate.ACCURACY,
        verdict=verdict,
        measure="rel_error",
        base=before,
        new=after,
        ratio=ratio,
        reason=f"rel_error {before:.2g} -> {after:.2g}{times}",
        regression=verdict is Verdict.WORSE,
    )
