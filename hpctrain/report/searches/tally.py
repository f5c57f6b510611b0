"""What became of the candidates, who made them, why some failed, and how busy the workers were."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hpctrain.report.searches.ranking import improvements
from hpctrain.report.searches.records import SearchRecords, numbers
from hpctrain.report.tables import Array

NUMBER = re.compile(r"(?<![A-Za-z_])[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
LONGEST_REASON = 100
REUSED = "reused"


@dataclass(frozen=True, slots=True)
class Tally:
    """The search in numbers.

    Attributes:
        outcomes: candidates by outcome.
        busy_s: time in the objective, over all workers.
        workers: how many there were.
        elapsed_s: of the run.
        cost: as reported by the objective; None if it reported none.
    """

    outcomes: Mapping[str, int]
    busy_s: float
    workers: int
    elapsed_s: float
    cost: float | None

    @property
    def evaluated(self) -> int:
        """Candidates on which time was spent."""
        return sum(count for outcome, count in self.outcomes.items() if outcome != REUSED)

    @property
    def per_hour(self) -> float:
        return 3600 * self.evaluated / self.elapsed_s if self.elapsed_s else 0.0

    @property
    def utilisation(self) -> float | None:
        """The share of the workers' time that was spent in the objective."""
        whole_s = self.workers * self.elapsed_s
        return min(self.busy_s / whole_s, 1.0) if whole_s else None


@dataclass(frozen=True, slots=True)
class Maker:
    """What one operator made: candidates, finite losses, improvements, and its best loss."""

    name: str
    made: int
    usable: int
    improved: int
    best: float


@dataclass(frozen=True, slots=True)
class Failure:
    """Failures whose reasons differ in numbers only."""

    reason: str
    count: int
    first: int


def tally(records: SearchRecords) -> Tally:
    """Count what there is."""
    counts = Counter(records.outcome.tolist())
    costs = numbers(records.table, "cost")
    begin_s, end_s = intervals(records)
    known = ("done", "failed", "stopped", "cancelled", REUSED)
    return Tally(
        outcomes={outcome: counts[outcome] for outcome in (*known, *(counts.keys() - known))},
        busy_s=float(np.nansum(end_s - begin_s)),
        workers=max(records.facts.num_workers, 1),
        elapsed_s=records.elapsed_s,
        cost=float(np.nansum(costs)) if np.isfinite(costs).any() else None,
    )


def makers(records: SearchRecords) -> list[Maker]:
    """The operators, by the number of improvements and then of candidates."""
    better, usable = improvements(records), records.usable
    by_name = records.table["made_by"].astype(str)
    names, inverse = np.unique(by_name, return_inverse=True)
    found = [
        _maker(records, str(name), inverse == place, better, usable)
        for place, name in enumerate(names)
    ]
    return sorted(found, key=lambda maker: (-maker.improved, -maker.made, maker.name))


def failures(records: SearchRecords) -> list[Failure]:
    """Why candidates failed, the most frequent reason first."""
    rows = np.flatnonzero(records.outcome == "failed")
    groups: dict[str, list[int]] = {}
    for row in rows:
        groups.setdefault(pattern(str(records.table["reason"][row])), []).append(int(row))
    found = [
        Failure(_reason(records, key, members), len(members), _first(records, members))
        for key, members in groups.items()
    ]
    return sorted(found, key=lambda failure: (-failure.count, failure.first))


def pattern(reason: str) -> str:
    """A reason without its numbers, in one line: what alike failures have in common."""
    line = " ".join(NUMBER.sub("#", reason).split())
    return line if len(line) <= LONGEST_REASON else line[: LONGEST_REASON - 1] + "…"


def intervals(records: SearchRecords) -> tuple[Array, Array]:
    """When each evaluation began and ended, on the clock of the run; NaN where there was none.

    Where it is not said how long one took, it is all that lies between order and end.
    """
    begin_s, end_s = numbers(records.table, "began_s"), records.table["time_s"]
    took_s = numbers(records.table, "took_s")
    took_s = np.where(took_s > 0, np.minimum(took_s, end_s - begin_s), end_s - begin_s)
    return begin_s, begin_s + np.maximum(took_s, 0.0)


def _maker(records: SearchRecords, name: str, mine: Array, better: Array, usable: Array) -> Maker:
    losses = records.losses[mine & usable, 0]
    return Maker(
        name=name or "unknown",
        made=int(mine.sum()),
        usable=len(losses),
        improved=int((mine & better).sum()),
        best=float(losses.min()) if len(losses) else float("nan"),
    )


def _reason(records: SearchRecords, key: str, rows: list[int]) -> str:
    """In full if there is only one such failure; the pattern says what several share."""
    if len({str(records.table["reason"][row]) for row in rows}) > 1:
        return key or "no reason given"
    line = " ".join(str(records.table["reason"][rows[0]]).split())
    short = line if len(line) <= LONGEST_REASON else line[: LONGEST_REASON - 1] + "…"
    return short or "no reason given"


def _first(records: SearchRecords, rows: list[int]) -> int:
    return int(min(records.table["number"][row] for row in rows))
