"""How much of a run's budget is spent: what schedules of the learning rate follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpctrain.training.algorithm import Budget

if TYPE_CHECKING:
    from hpctrain.config import RunConfig
    from hpctrain.training.home import EnergyBudget


def budget_of(config: RunConfig, energy: EnergyBudget | None = None) -> Budget:
    """When the run ends by itself."""
    stop = config.stop
    return Budget(
        stop.steps,
        None if stop.minutes is None else stop.minutes * 60,
        energy,
        None if stop.gigabytes is None else stop.gigabytes * 1e9,
    )


def progress_of(config: RunConfig, global_steps: int, now_s: float, sent: float = 0.0) -> float:
    """From 0 to 1: inner steps of all workers over `stop.steps`; else bytes, else time.

    Steps come first where several are given, for they are the same when a run is repeated. A run
    that has no budget makes no progress.
    """
    stop = config.stop
    if stop.steps is not None:
        return min(1.0, global_steps / stop.steps)
    if stop.gigabytes is not None:
        return min(1.0, sent / (stop.gigabytes * 1e9))
    if stop.minutes is not None:
        return min(1.0, now_s / (stop.minutes * 60))
    return 0.0
