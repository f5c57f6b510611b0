"""The rows that a search writes: one per candidate, and one per worker at the end."""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan
from typing import Any

from hpctrain.searching.messages import Evaluate, Evaluation, Tally
from hpctrain.searching.record import Record

PARAMETER = "param."


def loss_columns(num_objectives: int) -> tuple[str, ...]:
    """The names of the columns that hold the losses: loss, loss_1, loss_2, ..."""
    return ("loss", *(f"loss_{i}" for i in range(1, num_objectives)))


def candidate_row(
    order: Evaluate,
    evaluation: Evaluation,
    times: int,
    island: int,
    made_by: str,
    began_s: float,
) -> dict[str, Any]:
    """The row of one evaluation, whatever became of it."""
    row: dict[str, Any] = {
        "number": order.number,
        "island": island,
        "outcome": evaluation.outcome,
        "made_by": made_by,
        "began_s": began_s,
        "took_s": evaluation.took_s,
        "times": times,
    }
    if evaluation.outcome == "done":
        row |= zip(loss_columns(len(evaluation.losses)), evaluation.losses, strict=True)
    else:
        row["reason"] = evaluation.reason
    if not isnan(evaluation.cost):
        row["cost"] = evaluation.cost
    if evaluation.last_step >= 0:
        row["last_step"] = evaluation.last_step
        row["last_value"] = evaluation.last_value
    return row | parameter_columns(order.config)


def parameter_columns(config: Mapping[str, Any]) -> dict[str, Any]:
    """A column for each parameter that applies."""
    return {PARAMETER + name: value for name, value in config.items()}


def reused_row(
    number: int, known: Record, config: Mapping[str, Any], island: int, made_by: str
) -> dict[str, Any]:
    """The row of a candidate that was not evaluated because it had been before."""
    row: dict[str, Any] = {
        "number": number,
        "island": island,
        "outcome": "reused",
        "made_by": made_by,
        "reason": f"the same as candidate {known.number}",
    } | parameter_columns(config)
    if known.usable:
        row |= zip(loss_columns(len(known.losses)), known.losses, strict=True)
    return row


def worker_row(total: Tally, island: int, messages: int) -> dict[str, Any]:
    """What one worker has done by the end of (this part of) the search."""
    return {
        "island": island,
        "finished": total.finished,
        "failed": total.failed,
        "stopped": total.stopped,
        "cancelled": total.cancelled,
        "reused": total.reused,
        "busy_s": total.busy_s,
        "cost": total.cost,
        "gossip_messages": messages,
    }
