"""What a training did with its energy: inner steps and tokens, and the loss it came to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpctrain.report.energies.amount import numbers
from hpctrain.report.energies.ledger import Ledger
from hpctrain.report.facts import RunFacts
from hpctrain.report.losses import Curve, held_out_curves, mean_loss, training_curves
from hpctrain.report.records import Records
from hpctrain.report.tables import Array, Table, total


@dataclass(frozen=True, slots=True)
class Work:
    """Inner steps and tokens of all workers, each counted once, and those that were lost.

    Attributes:
        compute_j: energy of the phase of inner steps; None without a ledger.
    """

    steps: int
    tokens: int
    redone_steps: int
    compute_j: float | None


@dataclass(frozen=True, slots=True)
class Quality:
    """The loss by which runs are compared, and what it is."""

    loss: float
    name: str


def read_work(records: Records, ledger: Ledger) -> Work | None:
    """None for runs without rounds."""
    steps = int(total(records.rounds, "steps"))
    if not steps:
        return None
    compute = [one.amount for one in ledger.phases if one.name == "compute"]
    told = [amount.joules for amount in compute if amount.joules is not None]
    return Work(
        steps, int(total(records.rounds, "tokens")), records.redone.steps,
        sum(told) if told else None,
    )  # fmt: skip


def read_quality(facts: RunFacts, records: Records, candidates: Table | None) -> Quality | None:
    """Of a search the best loss, of a training the last one, on held-out data if there is any."""
    if candidates is not None:
        losses = numbers(candidates, "loss")
        usable = losses[(candidates["outcome"] == "done") & np.isfinite(losses)]
        return Quality(float(usable.min()), "best loss") if len(usable) else None
    held_out = _last(held_out_curves(facts, records))
    if held_out:
        return Quality(mean_loss(held_out), "held-out loss")
    trained = _last(training_curves(facts, records))
    return Quality(mean_loss(trained), "training loss") if trained else None


def _last(curves: tuple[Curve, ...]) -> list[float]:
    return [float(curve.loss[-1]) for curve in curves if len(curve.loss)]


def elapsed_s(records: Records, *times: Array) -> float:
    """Seconds of running up to the last thing that is known."""
    ends = [float(np.nanmax(some)) for some in times if np.isfinite(some).any()]
    return max([records.elapsed_s, *ends])
