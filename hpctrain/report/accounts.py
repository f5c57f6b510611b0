"""What each island did, where its time went, and how its pushes were merged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hpctrain.report.facts import RunFacts
from hpctrain.report.records import Records
from hpctrain.report.tables import Array, Table, chosen, total

PHASES = ("compute", "exchange", "wait", "evaluate", "checkpoint")


@dataclass(frozen=True, slots=True)
class Merges:
    """How the homes dealt with an island's pushes; one push per fragment and round.

    Attributes:
        staleness: versions, of (merged,).
        weight: mean of the weights given; NaN if none was merged.
        kept, shrunk, rotated: tensors that were merged so.
        refused: pushes that were refused.
    """

    staleness: Array
    weight: float
    kept: int
    shrunk: int
    rotated: int
    refused: int

    @property
    def merged(self) -> int:
        return len(self.staleness)


@dataclass(frozen=True, slots=True)
class IslandAccount:
    """The sums over an island's workers.

    Attributes:
        pace: how many times slower it was made; 1 for not at all.
        seconds: of running so far, the same for all islands.
        phase_s: seconds of all its workers by phase, over the rounds that have ended.
    """

    island: int
    name: str
    workers: int
    pace: float
    rounds: int
    steps: int
    tokens: int
    seconds: float
    bytes_sent: int
    phase_s: Mapping[str, float]
    merges: Merges


def island_accounts(facts: RunFacts, records: Records) -> tuple[IslandAccount, ...]:
    """One account per island, also for those of which no round has ended yet."""
    rounds, updates = records.rounds, records.updates
    found = np.unique(rounds["island"])
    islands = range(max(len(facts.islands), int(found.max(initial=-1)) + 1))
    senders = _island_of(rounds, updates["sender"])
    return tuple(
        _account(
            facts, island, records.elapsed_s,
            chosen(rounds, rounds["island"] == island),
            chosen(updates, senders == island),
        )
        for island in islands
    )  # fmt: skip


def _account(
    facts: RunFacts, island: int, seconds: float, rounds: Table, updates: Table
) -> IslandAccount:
    return IslandAccount(
        island=island,
        name=facts.island_name(island),
        workers=len(np.unique(rounds["worker"])),
        pace=facts.pace(island),
        rounds=int((rounds["steps"] > 0).sum()),
        steps=int(total(rounds, "steps")),
        tokens=int(total(rounds, "tokens")),
        seconds=seconds,
        bytes_sent=int(total(rounds, "bytes_sent")),
        phase_s={phase: total(rounds, f"{phase}_s") for phase in PHASES},
        merges=_merges(updates),
    )


def _merges(updates: Table) -> Merges:
    refused = updates["refused"] == 1
    merged = chosen(updates, ~refused)
    weights = merged["weight"]
    return Merges(
        staleness=merged["staleness"],
        weight=float(np.mean(weights)) if len(weights) else float("nan"),
        kept=int(total(merged, "kept")),
        shrunk=int(total(merged, "shrunk")),
        rotated=int(total(merged, "rotated")),
        refused=int(refused.sum()),
    )


def _island_of(rounds: Table, workers: Array) -> Array:
    """The island of each of `workers`, -1 for one that has ended no round."""
    known, first = np.unique(rounds["worker"], return_index=True)
    if not len(known):
        return np.full(len(workers), -1)
    place = np.minimum(np.searchsorted(known, workers), len(known) - 1)
    islands: Array = np.where(known[place] == workers, rounds["island"][first][place], -1)
    return islands
