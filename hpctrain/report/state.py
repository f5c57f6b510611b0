"""How a run stands: going on, finished, stopped, aborted or killed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from hpctrain.report.tables import Array, Table, chosen

Standing = Literal["running", "finished", "stopped", "aborted", "killed"]

DECISIVE = ("start", "resume", "finish", "stop", "abort")
SILENT_S = 120.0  # after which a run on another host is thought dead


@dataclass(frozen=True, slots=True)
class LifeSign:
    """What can be seen of a run's processes from here.

    Attributes:
        writing: whether a process of this host holds one of the run's logs open for writing.
        here: whether the run is, or was, on this host, so that `writing` is the whole truth.
        silent_s: seconds since anything was last written.
    """

    writing: bool
    here: bool
    silent_s: float

    @property
    def alive(self) -> bool:
        return self.writing or (not self.here and self.silent_s < SILENT_S)


@dataclass(frozen=True, slots=True)
class RunState:
    """`standing` and, in a few words, why."""

    standing: Standing
    text: str


def read_state(events: Table, life: LifeSign) -> RunState:
    """From the last decisive event of each rank; without one that closes it, from `life`."""
    last = _last_of_each_rank(events)
    kinds = set(last["kind"])
    if "abort" in kinds:
        return RunState("aborted", _last_line(last["text"][last["kind"] == "abort"][0]))
    if kinds and kinds <= {"finish"}:
        return RunState("finished", last["text"][0])
    if kinds and kinds <= {"finish", "stop"}:
        reason = last["text"][last["kind"] == "stop"][0]
        return RunState("stopped", f"{reason}; go on with --resume")
    if life.alive:
        return RunState("running", "")
    return RunState("killed", "it ended without a word; go on with --resume")


def _last_of_each_rank(events: Table) -> Table:
    decisive = chosen(events, np.isin(events["kind"], DECISIVE))
    ranks: Array = decisive["rank"]
    return chosen(decisive, np.append(ranks[1:] != ranks[:-1], True)[: len(ranks)])


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""
