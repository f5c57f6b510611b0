"""Updates by several pushes at once, which have no single sender: of `diloco`, `galoco`, ..."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hpctrain.report.tables import Array, Table, chosen, num_rows, total
from hpctrain.report.words import plural


@dataclass(frozen=True, slots=True)
class Groups:
    """All that were merged, of every fragment; means are NaN where nothing is known.

    Attributes:
        staleness: versions, of the oldest push in each, (groups,).
        contributors: pushes in a group, in the mean.
        cosine: to the outer momentum, in the mean.
        gain: in the mean.
        whole: whether all were of as many pushes.
        verdicts: shares of their tensors that were kept, shrunk, rotated; empty if all were kept.
        single_staleness: versions, of the pushes that were merged alone, (pushes,).
    """

    staleness: Array
    contributors: float
    cosine: float
    gain: float
    whole: bool
    verdicts: Mapping[str, float]
    single_staleness: Array

    @property
    def count(self) -> int:
        return len(self.staleness)

    @property
    def text(self) -> str:
        """How many, and of what size."""
        size = f"{self.contributors:.0f}" if self.whole else f"{self.contributors:.1f}"
        known = np.isfinite(self.contributors)
        return plural(self.count, "group") + (f" of {size} pushes" if known else "")


def read_groups(updates: Table) -> Groups | None:
    """The groups among the rows of kind `outer_update`; None if there are none.

    A row without steps is no group: with it a buffer that was left at the end was applied.
    """
    merged = (updates["refused"] != 1) & (updates["steps"] != 0)
    rows = chosen(updates, merged & (updates["sender"] < 0))
    singles = chosen(updates, merged & (updates["sender"] >= 0))
    if not num_rows(rows):
        return None
    contributors = rows["contributors"][rows["contributors"] > 0]
    return Groups(
        staleness=rows["staleness"],
        contributors=finite_mean(contributors),
        cosine=finite_mean(rows["cosine"]),
        gain=finite_mean(rows["gain"]),
        whole=len(np.unique(contributors)) <= 1,
        verdicts=_verdicts(rows),
        single_staleness=singles["staleness"],
    )


def groups_text(groups: Groups) -> str:
    """One line: how many, and means of what is known of them."""
    stale = f"stale by {groups.staleness.mean():.1f} ({groups.staleness.max()} at most)"
    text = f"{groups.text}: {stale if groups.staleness.any() else 'nothing was stale'}"
    for name, mean in (("cosine", groups.cosine), ("gain", groups.gain)):
        text += f", {name} {mean:.2f}" if np.isfinite(mean) else ""
    return text + "".join(f", {share:.0%} {name}" for name, share in groups.verdicts.items())


def _verdicts(rows: Table) -> dict[str, float]:
    counts = {name: total(rows, name) for name in ("kept", "shrunk", "rotated")}
    if not counts["shrunk"] + counts["rotated"]:
        return {}
    return {name: count / sum(counts.values()) for name, count in counts.items()}


def finite_mean(values: Array) -> float:
    """The mean of those that are finite; NaN if none is."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")
