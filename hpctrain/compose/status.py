"""`hpctrain status`: how a run stands, from its store, squeue and sacct."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table as Shown

from hpctrain.cluster.jobs.slurm import Queued, accounted, queued
from hpctrain.cluster.launcher import read_launcher
from hpctrain.compose.show import life_sign
from hpctrain.errors import RunStoreError
from hpctrain.report.console import make_console, seen_by
from hpctrain.report.searches.records import is_search, read_search
from hpctrain.report.searches.standing import search_state
from hpctrain.report.state import LifeSign, RunState, read_state
from hpctrain.report.tables import RunTables
from hpctrain.report.words import seconds_text
from hpctrain.storage.read import open_run

UNFINISHED = 3  # the exit code for job scripts
GO_ON = "; go on with --resume"  # as the states of runs end
GOING_ON = ("RUNNING", "PENDING", "REQUEUED", "SUSPENDED", "COMPLETING", "CONFIGURING")


def status(run_dir: Path, quiet: bool) -> int:
    """Say it.

    Returns:
        0 if the run has finished, 3 if not.

    Raises:
        RunStoreError: if there is no run.
    """
    if not run_dir.exists() and shutil.which("squeue"):
        raise RunStoreError(
            f"{run_dir} does not exist: a run makes it when its job begins (squeue --me), or it is "
            "another path, or the job has failed before (its output says why)"
        )
    run = open_run(run_dir)
    state = state_of(run, life_sign(run))
    if not quiet:
        launcher = read_launcher(os.environ)
        _print(run, state, make_console(seen_by(launcher.terminal, launcher.is_rank)))
    return 0 if state.standing == "finished" else UNFINISHED


def state_of(run: RunTables, life: LifeSign) -> RunState:
    """How a training or search stands."""
    if is_search(run):
        return search_state(read_search(run), life)
    return read_state(run.table("event"), life)


def jobs_of(run: RunTables) -> list[str]:
    """Numbers of the batch jobs that the run was in, in their order."""
    return list(dict.fromkeys(job["id"] for job in parts_of(run) if "id" in job))


def parts_of(run: RunTables) -> Iterator[dict[str, str]]:
    """The batch job of each part of the run, as its first rank said."""
    events = run.table("event")
    for kind, text, rank in zip(events["kind"], events["text"], events["rank"], strict=True):
        if kind in ("start", "resume") and rank == 0 and text.startswith("{"):
            yield json.loads(text).get("job", {})


def as_slurm_says(
    state: RunState, waiting: Queued | None, rows: Sequence[Mapping[str, str]]
) -> RunState:
    """What can only be guessed from files is known to Slurm.

    Args:
        state: as the files tell it.
        waiting: the last job of the run, if it waits or runs.
        rows: of sacct.
    """
    if state.standing == "finished":
        return state
    if waiting is not None and waiting.state == "PENDING":
        ended = state.text.removesuffix(GO_ON) if state.standing != "running" else "it ended"
        return RunState("stopped", f"{ended}; its job waits for the next turn")
    if state.standing not in ("running", "killed"):
        return state
    if waiting is not None and waiting.state == "RUNNING":
        return RunState("running", "")
    if waiting is None and rows and rows[-1]["State"] not in GOING_ON:
        return RunState("killed", f"its job ended as {rows[-1]['State']}{GO_ON}")
    return state


def _print(run: RunTables, state: RunState, console: Console) -> None:
    jobs = jobs_of(run)
    waiting, rows = (queued(jobs[-1]), accounted(jobs)) if jobs else (None, [])
    state = as_slurm_says(state, waiting, rows)
    text = f": {state.text}" if state.text else ""
    console.print(f"{run.run_dir}: {state.standing}{text}", soft_wrap=True, markup=False)
    console.print(_progress(run), soft_wrap=True, markup=False)
    if not jobs:
        return
    if waiting is not None:
        where = f" on {waiting.hosts}" if waiting.hosts else f" ({waiting.reason})"
        console.print(f"job {jobs[-1]}: {waiting.state}{where}, {waiting.left} left", markup=False)
    if rows:
        console.print(_table(rows))
    else:
        console.print(f"jobs: {', '.join(jobs)} (no accounting here)", markup=False)


def _progress(run: RunTables) -> str:
    rounds, candidates = run.table("round"), run.table("candidate")
    parts = sum(1 for _ in parts_of(run))
    times_s = [run.table(kind)["time_s"] for kind in ("event", "round", "candidate")]
    seconds = max((float(time_s.max()) for time_s in times_s if len(time_s)), default=0.0)
    done = f"{int(rounds['steps'].sum()):,} inner steps" if len(rounds["steps"]) else ""
    if len(candidates["number"]):
        done = f"{len(candidates['number']):,} candidates"
    return f"{done or 'nothing done yet'} in {seconds_text(seconds)}, {parts} part(s)"


def _table(rows: list[dict[str, str]]) -> Shown:
    table = Shown("job", "state", "exit", "elapsed", "limit", "hosts", "energy (Slurm)", box=None)
    for row in rows:
        energy = row.get("ConsumedEnergyRaw", "")
        known = energy.isdigit() and int(energy) > 0
        table.add_row(
            row["JobID"], row["State"], row["ExitCode"], row["Elapsed"], row["Timelimit"],
            row["NNodes"], f"{int(energy):,} J" if known else "not known",
        )  # fmt: skip
    return table
