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

MODEL_FILE = "final.pt"


def save_outcome(run: IslandRun, notebook: Notebook) -> None:
    """Note the fingerprints of the homes; rank 0 writes the model as `final.pt`, a state_dict."""
    for fragment, digest in run.fingerprints().items():
        notebook.note("home", {"fragment": fragment, "sha256": digest})
    if run.world.rank == 0 and run.run_dir is not None:
        path = Path(run.run_dir) / MODEL_FILE
        beside = path.with_suffix(".tmp")
        torch.save(_model_state(run), beside)
        os.replace(beside, path)


def _model_state(run: IslandRun) -> dict[str, Any]:
    """The model's state_dict; of a sharded model the merged parameters, which are whole."""
    if not run.replica.sharded:
        return run.replica.model.state_dict()
    whole: dict[str, Any] = {}
    for fragment in run.replica.fragments:
        values = run.session.round.state.anchors[fragment.index]
        for slot, (start, stop) in zip(fragment.tensors, fragment.bounds, strict=True):
            whole[slot.name] = torch.from_numpy(values[start:stop].copy())
    return whole


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
