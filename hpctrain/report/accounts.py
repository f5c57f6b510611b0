"""What each island did, where its time went, and how its pushes were merged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hpctrain.report.facts import RunFacts
from hpctrain.report.groups import finite_mean
from hpctrain.report.records import Records
from hpctrain.report.tables import Array, Table, chosen, total

PHASES = ("compute", "exchange", "wait", "evaluate", "checkpoint")


@dataclass(frozen=True, slots=True)
class Merges:
    """How the homes dealt with an island's pushes; one push per fragment and round.

    Attributes:
        staleness: versions, of (merged,).
        weight: mean of the weights given; NaN if none was merged.
        weight_per_s: sum of the weights given to pushes of fragment 0, by time.
        cosine, gain: means over what is known; NaN if nothing is.
        kept, shrunk, rotated: tensors that were merged so.
        refused: pushes that were refused.
    """

    staleness: Array
    weight: float
    weight_per_s: float
    cosine: float
    gain: float
    kept: int
    shrunk: int
    rotated: int
    refused: int

    @property
    def merged(self) -> int:
        return len(self.staleness)

    @property
    def stale_mean(self) -> float:
        """Versions; NaN if none was merged."""
        return finite_mean(self.staleness)


@dataclass(frozen=True, slots=True)
class IslandAccount:
    """The sums over an island's workers.

    Attributes:
        domain: of held-out data that it evaluated all along; "" if there is no one such.
        pace: how many times slower it was made; 1 for not at all.
        seconds: of running so far, the same for all islands.
        phase_s: seconds of all its workers by phase, over the rounds that have ended.
    """

    island: int
    name: str
    domain: str
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
            facts, island, _domain(facts, records, island), records.elapsed_s,
            chosen(rounds, rounds["island"] == island),
            chosen(updates, senders == island),
        )
        for island in islands
    )  # fmt: skip


def _account(
    facts: RunFacts, island: int, domain: str, seconds: float, rounds: Table, updates: Table
) -> IslandAccount:
    return IslandAccount(
        island=island,
        name=facts.island_name(island),
        domain=domain,
        workers=len(np.unique(rounds["worker"])),
        pace=facts.pace(island),
        rounds=int((rounds["steps"] > 0).sum()),
        steps=int(total(rounds, "steps")),
        tokens=int(total(rounds, "tokens")),
        seconds=seconds,
        bytes_sent=int(total(rounds, "bytes_sent")),
        phase_s={phase: total(rounds, f"{phase}_s") for phase in PHASES},
        merges=_merges(updates, seconds),
    )


def _domain(facts: RunFacts, records: Records, island: int) -> str:
    """An island with data of its own evaluates their domain on the way, and nothing else."""
    if not facts.own_data:
        return ""
    mine = _island_of(records.rounds, records.evaluations["worker"]) == island
    rows = chosen(records.evaluations, mine)
    by_round: dict[int, set[str]] = {}
    for number, domain in zip(rows["round"].tolist(), rows["domain"], strict=True):
        by_round.setdefault(number, set()).add(str(domain))
    alone = {min(domains) for domains in by_round.values() if len(domains) == 1}
    return alone.pop() if len(alone) == 1 else ""


def _merges(updates: Table, seconds: float) -> Merges:
    refused = updates["refused"] == 1
    merged = chosen(updates, ~refused)
    weights = merged["weight"]
    return Merges(
        staleness=merged["staleness"],
        weight=finite_mean(weights),
        weight_per_s=float(weights[merged["fragment"] == 0].sum()) / (seconds or 1.0),
        cosine=finite_mean(merged["cosine"]),
        gain=finite_mean(merged["gain"]),
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
