"""What each candidate of a search used, what came of it, and how much was for nothing."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpctrain.metering.reading import COMPONENTS
from hpctrain.report.energies.amount import Amount, grouped, numbers, together
from hpctrain.report.tables import Array, Table, chosen

WASTED = ("failed", "cancelled", "stopped")
UNFINISHED = "unfinished"  # it has energy, and no outcome: the run ended before it did
EXTENSIVE = ("joules", "low_j", "high_j", "duration_s", *(f"{name}_j" for name in COMPONENTS))


@dataclass(frozen=True, slots=True)
class CandidateUse:
    """One candidate.

    Attributes:
        loss, took_s, ended_s: NaN if they are not known.
        split: its energy is a share, by time, of that of several short candidates.
    """

    number: int
    outcome: str
    loss: float
    took_s: float
    ended_s: float
    made_by: str
    amount: Amount
    split: bool

    @property
    def usable(self) -> bool:
        """Whether it gave a loss that says something, and its energy is known."""
        return self.outcome == "done" and bool(np.isfinite(self.loss))


@dataclass(frozen=True, slots=True)
class Candidates:
    """All candidates that have energy, by number."""

    all: tuple[CandidateUse, ...]

    @property
    def total(self) -> Amount:
        return together([one.amount for one in self.all])

    @property
    def wasted(self) -> Amount:
        """Of those that failed, were stopped or cancelled."""
        return together([one.amount for one in self.all if one.outcome in WASTED])

    def by_outcome(self) -> dict[str, tuple[int, Amount]]:
        """How many there are of each outcome, and what they used."""
        found: dict[str, list[Amount]] = {}
        for one in self.all:
            found.setdefault(one.outcome, []).append(one.amount)
        return {name: (len(found[name]), together(found[name])) for name in sorted(found)}

    def front(self) -> list[CandidateUse]:
        """Those that no other beats in both loss and energy, the cheapest first."""
        usable = [one for one in self.all if one.usable and one.amount.joules is not None]
        best, found = np.inf, []
        for one in sorted(usable, key=lambda one: (one.amount.known_j, one.loss)):
            if one.loss < best:
                best = one.loss
                found.append(one)
        return found

    def improvements(self) -> list[CandidateUse]:
        """Those that lowered the best loss, in the order in which they ended."""
        best, found = np.inf, []
        for one in sorted(self.all, key=lambda one: (one.ended_s, one.number)):
            if one.usable and one.loss < best:
                best = one.loss
                found.append(one)
        return found

    @property
    def joules_per_improvement(self) -> float | None:
        """Of all candidates, over how often the best loss fell after the first one."""
        count = len(self.improvements()) - 1
        total = self.total.joules
        return total / count if count > 0 and total is not None else None


def read_candidates(rows: Table, candidates: Table) -> Candidates:
    """Join the ledger with what became of the candidates.

    Args:
        rows: of kind `energy`.
        candidates: of kind `candidate`; of several rows with one number the last counts.
    """
    rows = chosen(rows, np.asarray(rows["scope"] == "candidate"))
    known = _by_number(candidates)
    index, number, weight, split = _shares(rows, candidates)
    table: dict[str, Array] = {name: values[index] for name, values in rows.items()}
    for name in EXTENSIVE:
        if name in table:
            table[name] = table[name].astype(np.float64) * weight
    table["number"] = number
    parted = set(number[split].tolist())
    return Candidates(
        tuple(
            _candidate(int(group.key[0]), known, group.amount, group.key[0] in parted)
            for group in grouped(table, "number")
        )
    )


def _candidate(
    number: int, known: Mapping[int, Mapping[str, Any]], amount: Amount, split: bool
) -> CandidateUse:
    said = known.get(number, {})
    return CandidateUse(
        number, str(said.get("outcome", UNFINISHED)), float(said.get("loss", np.nan)),
        float(said.get("took_s", np.nan)), float(said.get("time_s", np.nan)),
        str(said.get("made_by", "")), amount, split,
    )  # fmt: skip


def _by_number(candidates: Table) -> dict[int, dict[str, Any]]:
    names = [n for n in ("outcome", "loss", "took_s", "time_s", "made_by") if n in candidates]
    columns = [candidates[name].tolist() for name in names]
    order = np.argsort(numbers(candidates, "time_s"), kind="stable")
    numbers_of = candidates["number"].tolist()
    return {
        numbers_of[row]: {n: c[row] for n, c in zip(names, columns, strict=True)} for row in order
    }


def _shares(rows: Table, candidates: Table) -> tuple[Array, Array, Array, Array]:
    """Rows, candidates and weights: a row that several share comes once for each of them."""
    last, count = numbers(rows, "last", -1), numbers(rows, "count", 1)
    alone = (count <= 1) & (last <= rows["number"])
    finder = _Finder(candidates, set(rows["number"][alone].tolist()))
    found: list[tuple[int, int, float, bool]] = []
    for row, first in enumerate(rows["number"].tolist()):
        if alone[row]:
            found.append((row, first, 1.0, False))
            continue
        members = finder.members(int(rows["worker"][row]), first, max(int(last[row]), first))
        found += [(row, number, weight, True) for number, weight in members]
    index, number, weight, split = zip(*found, strict=True) if found else ((), (), (), ())
    return (
        np.array(index, np.int64), np.array(number, np.int64), np.array(weight),
        np.array(split, bool),
    )  # fmt: skip


class _Finder:
    """Which short candidates a worker evaluated, and what share of their time each took."""

    def __init__(self, candidates: Table, alone: Set[int]) -> None:
        """Those in `alone` have rows of their own, and no part in others."""
        self._of: dict[int, tuple[list[int], list[float]]] = {}
        took = np.nan_to_num(numbers(candidates, "took_s"))
        for row in np.argsort(candidates["number"], kind="stable").tolist():
            number = int(candidates["number"][row])
            if candidates["outcome"][row] == "reused" or number in alone:
                continue
            mine = self._of.setdefault(int(candidates["worker"][row]), ([], []))
            mine[0].append(number)
            mine[1].append(max(float(took[row]), 0.0))

    def members(self, worker: int, first: int, last: int) -> Sequence[tuple[int, float]]:
        """Numbers and weights of those from `first` to `last`; all to `first` if none is known."""
        ids, took = self._of.get(worker, ([], []))
        begin, end = bisect_left(ids, first), bisect_right(ids, last)
        if begin == end:
            return [(first, 1.0)]
        whole = sum(took[begin:end])
        equal = 1 / (end - begin)
        return [(ids[n], took[n] / whole if whole > 0 else equal) for n in range(begin, end)]
