"""Simulations: energy that settings imagine, in place of readings that cannot be had."""

from __future__ import annotations

import numpy as np

from hpctrain.report.energies.amount import Group, grouped, numbers
from hpctrain.report.tables import Array, Table, chosen

HOST = "imagined-"  # each worker of a simulation is a host of this name


def imagined_samples(rows: Table) -> Table | None:
    """Rows like those of kind `energy_sample`, one for each worker; None if nothing is imagined.

    Power is taken to be the same from the beginning of the simulation to its end.

    Args:
        rows: of kind `energy`.
    """
    names = np.array([str(host).startswith(HOST) for host in rows["host"]], bool)
    rows = chosen(rows, names & (rows["scope"] == "phase"))
    groups = grouped(rows, "host")
    if not groups:
        return None
    return {
        **_constants(groups),
        "host": np.array([group.key[0] for group in groups], object),
        "utc_s": np.full(len(groups), np.nanmax(numbers(rows, "utc_s"))),
        "time_s": np.full(len(groups), np.nanmax(numbers(rows, "time_s"))),
        "duration_s": np.array([group.amount.seconds for group in groups]),
        "joules": np.array([group.amount.known_j for group in groups]),
        "low_j": np.array([group.amount.low_j or 0.0 for group in groups]),
        "high_j": np.array([group.amount.high_j or 0.0 for group in groups]),
    }


def _constants(groups: list[Group]) -> dict[str, Array]:
    count = len(groups)
    return {
        "rank": np.zeros(count, np.int64),
        "device": np.full(count, "imagined:worker", object),
        "component": np.full(count, "node", object),
        "quality": np.full(count, "estimate", object),
        "coverage": np.ones(count),
    }
