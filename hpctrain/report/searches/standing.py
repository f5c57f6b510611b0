"""How a search stands: going on, finished, stopped, aborted or killed."""

from __future__ import annotations

import numpy as np

from hpctrain.report.searches.records import SearchRecords
from hpctrain.report.state import LifeSign, RunState, read_state
from hpctrain.report.tables import chosen

CUT_SHORT = ("SIG", "the allocation ends")  # reasons of an end before the end: signals, time limits


def search_state(records: SearchRecords, life: LifeSign) -> RunState:
    """From the events; the end of a search is noted by the first rank alone, an abort by any."""
    events = records.events
    if not len(events["rank"]):
        return read_state(events, life)
    first = events["rank"] == events["rank"].min()
    state = read_state(chosen(events, first | np.isin(events["kind"], ("abort",))), life)
    if state.standing == "finished" and state.text.startswith(CUT_SHORT):
        return RunState("stopped", f"{state.text}; go on with --resume")
    return state
