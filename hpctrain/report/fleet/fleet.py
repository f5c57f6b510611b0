"""All that the report on many runs is made from."""

from __future__ import annotations

from dataclasses import dataclass

from hpctrain.report.fleet.rows import FleetRun, Skipped
from hpctrain.report.fleet.slurm import Compared


@dataclass(frozen=True, slots=True)
class Fleet:
    """Many runs.

    Attributes:
        where: the directories that were looked through.
        runs: the largest energy first.
        skipped: runs that could not be read, and directories that could not be looked into.
        compared: with Slurm; None if there was no accounting to compare with.
        prices: the file for the what-if; empty if nobody asked.
    """

    where: tuple[str, ...]
    runs: tuple[FleetRun, ...]
    skipped: tuple[Skipped, ...]
    compared: tuple[Compared, ...] | None
    prices: str = ""
