"""Where the workers' time went: over the run, and worker by worker."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from hpctrain.report.loss_panels import axis_unit
from hpctrain.report.searches.plots.axes import remark, titled
from hpctrain.report.searches.records import SearchRecords
from hpctrain.report.searches.tally import intervals, tally
from hpctrain.report.tables import Array
from hpctrain.report.words import plural

HEIGHT_IN = 3.5
MOST_BARS = 24
BINS = 80
# Good work is pale, so that what is not can be seen; they differ in lightness as well.
OUTCOMES = {
    "done": ("#A9C4D8", "gave a loss"),
    "stopped": ("#E69F00", "stopped early"),
    "failed": ("#A61C2D", "failed"),
    "cancelled": ("#4D4D4D", "cancelled"),
}
IDLE_COLOUR = "#F1F1F1"


def draw_workers(records: SearchRecords) -> Figure:
    """Shares of the time by what became of the candidate that it was spent on."""
    counts = tally(records)
    busy = f"{counts.utilisation or 0:.0%} of their time in the objective"
    figure, part = titled(
        f"{records.facts.name}: {plural(counts.workers, 'worker')} spent {busy}", HEIGHT_IN
    )
    over_time: Any
    by_worker: Any
    over_time, by_worker = part.subplots(1, 2, width_ratios=(1.7, 1.0))
    _draw_over_time(over_time, records, counts.workers)
    said = _draw_by_worker(by_worker, records)
    handles, names = over_time.get_legend_handles_labels()
    part.legend(handles, names, loc="outside upper left", ncols=5, borderaxespad=0.2,
                  handlelength=0.9)  # fmt: skip
    remark(part, [said])
    return figure


def busy_between(begin_s: Array, end_s: Array, edges_s: Array) -> Array:
    """Seconds of all intervals together that lie between neighbouring edges."""
    return np.diff(_begun_before(begin_s, edges_s) - _begun_before(end_s, edges_s))


def _begun_before(moments_s: Array, edges_s: Array) -> Array:
    """For each edge, the sum of the time since each moment before it."""
    ordered = np.sort(moments_s)
    sums = np.concatenate(([0.0], np.cumsum(ordered)))
    count = np.searchsorted(ordered, edges_s)
    return np.asarray(count * edges_s - sums[count])


def _draw_over_time(panel: Any, records: SearchRecords, workers: int) -> None:
    begin_s, end_s = intervals(records)
    scale_s, unit = axis_unit(records.elapsed_s, "s")
    edges_s = np.linspace(0, max(records.elapsed_s, 1e-9), BINS + 1)
    whole_s = workers * (edges_s[1] - edges_s[0])
    floor = np.zeros(BINS)
    for outcome, (colour, name) in OUTCOMES.items():
        mine = (records.outcome == outcome) & np.isfinite(begin_s)
        if not mine.any():
            continue
        share = 100 * busy_between(begin_s[mine], end_s[mine], edges_s) / whole_s
        panel.stairs(floor + share, edges_s / scale_s, baseline=floor, fill=True, color=colour,
                     label=name)  # fmt: skip
        floor = floor + share
    top = np.maximum(floor, 100)
    panel.stairs(top, edges_s / scale_s, baseline=floor, fill=True, color=IDLE_COLOUR,
                 label="not in the objective")  # fmt: skip
    panel.set_xlim(0, edges_s[-1] / scale_s)
    panel.set_ylim(0, 100)
    panel.set_xlabel(unit)
    panel.set_ylabel("percent of all workers' time")
    panel.grid(visible=False)


def _draw_by_worker(panel: Any, records: SearchRecords) -> str:
    begin_s, end_s = intervals(records)
    took_s = np.nan_to_num(end_s - begin_s)
    everyone = np.unique(records.table["worker"])
    busy_s = np.array([took_s[records.table["worker"] == worker].sum() for worker in everyone])
    chosen = np.argsort(-busy_s, kind="stable")
    if len(chosen) > MOST_BARS:
        chosen = chosen[np.linspace(0, len(chosen) - 1, MOST_BARS).round().astype(int)]
    else:
        chosen = np.arange(len(everyone))
    workers = everyone[chosen]
    left = np.zeros(len(workers))
    for outcome, (colour, _) in OUTCOMES.items():
        mine = records.outcome == outcome
        seconds = np.array([
            took_s[mine & (records.table["worker"] == worker)].sum() for worker in workers
        ])  # fmt: skip
        share = 100 * seconds / max(records.elapsed_s, 1e-9)
        panel.barh(range(len(workers)), share, 0.74, left, color=colour)
        left = left + share
    panel.barh(range(len(workers)), np.maximum(100 - left, 0), 0.74, left, color=IDLE_COLOUR)
    every = -(-len(workers) // 12)
    panel.set_yticks(range(0, len(workers), every), [str(w) for w in workers[::every]])
    panel.set_ylim(len(workers) - 0.4, -0.6)
    panel.set_xlim(0, 100)
    panel.set_xlabel("percent of its time")
    panel.set_ylabel("worker")
    panel.grid(visible=False)
    if len(workers) == len(everyone):
        return ""
    return f"{len(workers)} of {len(everyone):,} workers, from the busiest to the idlest"
