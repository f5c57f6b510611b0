"""What stays of a run: the merged model, fingerprints of the outer parameters, and a summary."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from hpctrain.compose.island_run import IslandRun
from hpctrain.report.summary import IslandSummary, RunSummary
from hpctrain.runtime.ports import Notebook
from hpctrain.workers.shards import whole

MODEL_FILE = "final.pt"


def save_outcome(run: IslandRun, notebook: Notebook) -> None:
    """Note the fingerprints of the homes; rank 0 writes the model as `final.pt`, a state_dict.

    All ranks call it: what is sharded is gathered over the ranks of rank 0's worker.
    """
    for fragment, digest in run.fingerprints().items():
        notebook.note("home", {"fragment": fragment, "sha256": digest})
    if run.run_dir is None or 0 not in run.me.ranks:
        return
    state = _model_state(run)
    if run.world.rank == 0:
        path = Path(run.run_dir) / MODEL_FILE
        beside = path.with_suffix(".tmp")
        torch.save(state, beside)
        os.replace(beside, path)


def _model_state(run: IslandRun) -> dict[str, Any]:
    """The model's state_dict, whole and by its own names; at rank 0 alone if it is sharded."""
    state = run.replica.model.state_dict()
    if not run.replica.sharded:
        return state
    kept: dict[str, Any] = {}
    for name, tensor in state.items():
        gathered = whole(tensor)
        if run.world.rank == 0:
            kept[name] = gathered.cpu()
    return kept


def summarise(
    run: IslandRun, pace: float, losses: Mapping[str, float], seconds: float, run_dir: Path
) -> RunSummary:
    """Collective. What all workers did."""
    session, me = run.session, run.me
    mine = None
    if session.driver is not None:
        mine = IslandSummary(
            worker=me.id,
            island=run.topology.island_name(me.id),
            ranks=len(me.ranks),
            pace=pace,
            rounds=session.driver.state.learner.round,
            steps=session.steps_done,
            tokens=session.tokens_done,
            seconds=seconds,
            waited_s=session.waited_s,
            bytes_sent=run.mailbox.bytes_sent,
        )
    workers = tuple(item for item in run.world.gather(mine) if item is not None)
    return RunSummary(
        title=run.config.name,
        method=run.method.name,
        parameters=run.replica.numel,
        seconds=seconds,
        workers=workers,
        losses=losses,
        run_dir=run_dir,
    )
