"""A candidate that is itself a training: the settings of a run with some keys searched."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpctrain.cluster.launcher import read_launcher
from hpctrain.compose.train import TrainLoop
from hpctrain.config import build_config, resolved_json
from hpctrain.errors import ConfigError
from hpctrain.runtime.alone import AloneWorld
from hpctrain.searching.space import Space
from hpctrain.workers.candidate import Candidate, StopCandidate
from hpctrain.workers.objective import Objective

if TYPE_CHECKING:
    from hpctrain.config import RunConfig
    from hpctrain.runtime.ports import World

PARTS = 10  # of a training: after each the candidate reports, so a step of fidelity is a tenth


def training_objective(config: RunConfig, space: Space) -> Objective:
    """An objective that trains `config` with the keys that a candidate sets.

    Raises:
        ConfigError: if a parameter is no key of the settings.
    """
    _check_keys(config, space)

    def objective(candidate: Candidate) -> dict[str, float]:
        return {"loss": train_candidate(candidate, config, candidate)}

    return objective


def train_candidate(candidate: Candidate, config: RunConfig, changes: Mapping[str, Any]) -> float:
    """Train on the ranks of the candidate's worker; the mean held-out loss over all domains.

    Collective among those ranks. The run lies in the candidate's directory.

    Raises:
        HpctrainError: if the settings make no sense with `changes`.
        StopCandidate: if it is not worth going on, or the search ends.
    """
    run_dir = candidate.directory / "run"
    world: World = AloneWorld()
    if candidate.size > 1:
        from hpctrain.mpi.inner import InnerWorld

        world = InnerWorld(candidate.comm)
    if world.rank == 0 and run_dir.exists():  # of an evaluation that was cut short
        shutil.rmtree(run_dir)
    world.share(None)
    trained = changed(config, changes, str(run_dir), f"candidate-{candidate.number}")
    loop = TrainLoop(trained, world, read_launcher(os.environ), own_process=False)
    _report_parts(loop, candidate, trained.stop.steps)
    loop.run()
    world.share(None)  # nobody is under way in it any more
    free = getattr(world, "free", None)
    if free is not None:
        free()
    if loop.stopped_by is not None:
        raise StopCandidate(loop.stopped_by)
    return sum(loop.losses.values()) / len(loop.losses)


def changed(
    config: RunConfig, changes: Mapping[str, Any], run_dir: str, name: str | None = None
) -> RunConfig:
    """`config` as a training, with the dotted keys of `changes` set.

    Raises:
        ConfigError: if that is not allowed.
    """
    values = json.loads(resolved_json(config))
    values.pop("search", None)
    values["run_dir"] = run_dir
    values["checkpoint"]["resume"] = False
    if name is not None:
        values |= {"name": name, "progress": {"show": "none"}}
        values["checkpoint"]["every_minutes"] = 0.0
    for key, value in changes.items():
        table = values
        *path, last = key.split(".")
        for part in path:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise ConfigError(f"search.space.{key}: {part!r} is no table of the settings")
        table[last] = value
    return build_config(values, config.source)


def save_best(config: RunConfig, changes: Mapping[str, Any]) -> str:
    """Write the best candidate as `best.toml`, which `hpctrain train` accepts; returns its text.

    What is as by default is left out.
    """
    import tomli_w

    best = changed(config, changes, f"{config.run_dir}/best")
    values = best.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
    text = tomli_w.dumps(values)
    (Path(config.run_dir) / "best.toml").write_text(text, encoding="utf-8")
    return text


def _check_keys(config: RunConfig, space: Space) -> None:
    """Try the middle of the space before anything is paid for."""
    middle = space.decode(space.from_unit([0.5] * space.num_genes))
    try:
        changed(config, middle, config.run_dir)
    except ConfigError as error:
        raise ConfigError(f"search.space: {error}") from None


def _report_parts(loop: TrainLoop, candidate: Candidate, steps: int | None) -> None:
    """Let worker 0 report the loss after each tenth of the training."""
    if loop.world.rank != 0 or steps is None:
        return
    reported = 0

    def at_pause(known_steps: int) -> None:
        nonlocal reported
        part = min(PARTS - 1, known_steps * PARTS // steps)
        if part <= reported:
            return
        reported = part
        losses = loop.task.evaluate(loop.task.domains)
        reason = candidate.report_alone(sum(losses.values()) / len(losses), part)
        if reason is not None:
            loop.run_.session.request_stop(reason)

    loop.on_progress = at_pause
