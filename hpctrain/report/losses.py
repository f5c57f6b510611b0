"""Losses over time: a curve per domain of held-out data, or per island if nothing was held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpctrain.report.facts import RunFacts
from hpctrain.report.records import Records
from hpctrain.report.tables import Array, Table, chosen, column


@dataclass(frozen=True, slots=True)
class Curve:
    """Losses of one domain, or of one island; both of (points,), in the order of time."""

    name: str
    time_s: Array
    loss: Array


def held_out_curves(facts: RunFacts, records: Records) -> tuple[Curve, ...]:
    """A curve per domain: those of islands in the order of islands, then the others."""
    found = tuple(dict.fromkeys(records.evaluations["domain"]))
    ordered = [name for name in facts.islands if name in found]
    ordered += [name for name in found if name not in ordered]
    return tuple(_curve(name, records.evaluations, "domain", name, "loss") for name in ordered)


def training_curves(facts: RunFacts, records: Records) -> tuple[Curve, ...]:
    """A curve of the training loss per island."""
    return tuple(
        _curve(facts.island_name(int(island)), records.rounds, "island", island, "loss_mean")
        for island in np.unique(records.rounds["island"])
    )


def repeated(curves: Sequence[Curve]) -> list[Curve]:
    """Those that were measured at more than one time: only they can be followed."""
    return [curve for curve in curves if len(np.unique(curve.time_s)) > 1]


def mean_curve(curves: Sequence[Curve]) -> Curve:
    """The mean over the domains that were measured more than once.

    There is a point wherever one of them was measured, from when all have been until one is not
    any more. The others are taken to lie on a straight line between their measurements.
    """
    found = repeated(curves)
    if len(found) == 1:
        return found[0]
    times = np.unique(np.concatenate([curve.time_s for curve in found]))
    begin = max(float(curve.time_s[0]) for curve in found)
    end = min(float(curve.time_s[-1]) for curve in found)
    times = times[(times >= begin) & (times <= end)]
    losses = [np.interp(times, curve.time_s, curve.loss) for curve in found]
    return Curve(f"mean of {len(found)} domains", times, np.mean(losses, axis=0))


def _curve(label: str, table: Table, by: str, value: object, losses: str) -> Curve:
    rows = chosen(table, (table[by] == value) & np.isfinite(table[losses]))
    order = np.argsort(rows["time_s"], kind="stable")
    return Curve(label, rows["time_s"][order], rows[losses][order])


def done_by(rounds: Table, amount: str, times_s: Array) -> Array:
    """How much of the column `amount` all workers together had done by each of `times_s`.

    A row says what a whole round came to; inside a round it is taken to grow evenly.
    """
    done = np.zeros(len(times_s))
    for worker in np.unique(rounds["worker"]):
        mine = chosen(rounds, rounds["worker"] == worker)
        ends_s = np.append(0.0, mine["time_s"])
        sums = np.append(0.0, np.cumsum(np.maximum(column(mine, amount), 0.0)))
        done += np.interp(times_s, ends_s, sums)
    return done


def mean_loss(losses: Sequence[float]) -> float:
    return sum(losses) / len(losses)
