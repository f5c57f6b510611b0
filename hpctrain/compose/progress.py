"""How much of a run's budget is spent: what schedules of the learning rate follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hpctrain.config import RunConfig


def progress_of(config: RunConfig, global_steps: int, now_s: float) -> float:
    """From 0 to 1: inner steps of all workers over `stop.steps`, without it time over minutes.

    Steps come first where both are given, for they are the same when a run is repeated. A run
    that has no budget makes no progress.
    """
    stop = config.stop
    if stop.steps is not None:
        return min(1.0, global_steps / stop.steps)
    if stop.minutes is not None:
        return min(1.0, now_s / (stop.minutes * 60))
    return 0.0
