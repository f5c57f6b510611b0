"""One run of a study: a simulation in a directory that is gone afterwards, and what came of it."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

Outcome = dict[str, Any]


def run_once(settings: Mapping[str, Any]) -> Outcome:
    """Simulate; in a process of its own, which may do so again and again.

    Returns:
        Plain values: `losses` in nats by domain and their mean `loss` (NaN is None), `steps`,
        `tokens`, `virtual_s`, `bytes`, `updates`, `refused`, and by worker `steps_by_worker`,
        `staleness`, `idle` (share of its time), `weight` (sum of the weights of its arrivals);
        `cosine`, `kept`, `shrunk`, `rotated` over all arrivals; `curve` of (virtual seconds, steps,
        domain, loss); `wall_s`. Or `error`.
    """
    import torch

    from hpctrain.compose.simulate import Simulation
    from hpctrain.config import build_config
    from hpctrain.storage.read import open_run

    torch.set_num_threads(1)
    began_s = perf_counter()
    with tempfile.TemporaryDirectory(prefix="hpctrain-study-") as folder:
        values = {"checkpoint": {"every_minutes": 0.0}, **settings, "run_dir": f"{folder}/run"}
        try:
            config = build_config(values, "study")
            Simulation(config).run()
            outcome = _outcome_of(open_run(Path(folder) / "run"))
        except Exception as error:  # the task is the user's; the study tells what failed at its end
            return {"error": f"{type(error).__name__}: {error}"}
    return outcome | {"wall_s": round(perf_counter() - began_s, 3)}


def _outcome_of(run: Any) -> Outcome:
    rounds, updates, evaluations = (
        run.table(name) for name in ("round", "outer_update", "evaluation")
    )
    losses = _last_losses(evaluations)
    finite = losses and all(math.isfinite(loss) for loss in losses.values())
    workers = range(int(rounds["worker"].max(initial=-1)) + 1)
    first = updates["fragment"] == 0
    refused = updates["refused"].astype(bool)
    accepted = first & ~refused
    end_s = float(rounds["time_s"].max(initial=0.0))
    return {
        "losses": {name: _number(loss) for name, loss in losses.items()},
        "loss": float(np.mean(list(losses.values()))) if finite else None,
        "steps": int(rounds["steps"].sum()),
        "tokens": int(rounds["tokens"].sum()),
        "virtual_s": end_s,
        "bytes": int(rounds["bytes_sent"].sum()),
        "updates": int(accepted.sum()),
        "refused": int((first & refused).sum()),
        "cosine": _number(_mean(updates["cosine"][accepted])),
        **{name: int(updates[name][~refused].sum())
           for name in ("kept", "shrunk", "rotated")},
        "steps_by_worker": [int(rounds["steps"][rounds["worker"] == w].sum()) for w in workers],
        "idle": [_number(_share(rounds["wait_s"][rounds["worker"] == w].sum(), end_s))
                 for w in workers],
        "staleness": [_number(_mean(updates["staleness"][accepted & (updates["sender"] == w)]))
                      for w in workers],
        "weight": [float(updates["weight"][accepted & (updates["sender"] == w)].sum())
                   for w in workers],
        "curve": [[round(float(t), 6), int(s), str(d), _number(loss)] for t, s, d, loss in zip(
            evaluations["time_s"], evaluations["global_steps"], evaluations["domain"],
            evaluations["loss"], strict=True)],
    }  # fmt: skip


def _last_losses(evaluations: Mapping[str, Any]) -> dict[str, float]:
    """Of each domain the newest; at the end of a run all are evaluated."""
    newest: dict[str, float] = {}
    for row in np.argsort(evaluations["time_s"], kind="stable"):
        newest[str(evaluations["domain"][row])] = float(evaluations["loss"][row])
    return newest


def _mean(values: Any) -> float:
    known = values[np.isfinite(values)] if len(values) else values
    return float(known.mean()) if len(known) else math.nan


def _share(part: float, whole: float) -> float:
    return float(part) / whole if whole > 0 else math.nan


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
