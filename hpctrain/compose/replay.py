"""`hpctrain replay`: make a recorded run again, in one process, and compare it bit for bit.

A full recording holds the results of all rounds: the algorithm alone is replayed, without model,
data or GPU. A recording of the order is followed by the training itself: every rank becomes a
thread, takes the same inner steps on the same data, and handles its messages in the recorded order.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from hpctrain.cluster.launcher import Launcher
from hpctrain.compose.method import method_of
from hpctrain.compose.progress import budget_of
from hpctrain.compose.recordings import read_entries, recorded_workers
from hpctrain.compose.train import TrainLoop
from hpctrain.config import build_config
from hpctrain.errors import HpctrainError
from hpctrain.runtime.rehearsal import rehearse
from hpctrain.runtime.threads import ThreadWorld, run_in_threads
from hpctrain.storage.read import open_run
from hpctrain.training.algorithm import IslandTraining
from hpctrain.training.messages import Initial

if TYPE_CHECKING:
    from hpctrain.config import RunConfig


def replay(run_dir: Path) -> int:
    """Replay and compare; 0 if every fragment ends with the recorded bits, else 1.

    Raises:
        HpctrainError: if there is no usable recording, or the replay leaves it.
    """
    run = open_run(run_dir)
    recorded_workers(run_dir)
    homes = run.table("home")
    if not len(homes.get("fragment", ())):
        raise HpctrainError(
            f"{run_dir} has no outcome to compare with: the run did not reach its end"
        )
    config = _recorded_config(run.identity, run_dir)
    full = config.runtime.record == "full"
    found = _from_results(config, run_dir) if full else _from_order(config, run_dir)
    expected = {
        int(fragment): str(digest)
        for fragment, digest in zip(homes["fragment"], homes["sha256"], strict=True)
    }
    return _report(run_dir, expected, found)


def _recorded_config(identity: dict[str, Any], run_dir: Path) -> RunConfig:
    return build_config(identity["config_resolved"], str(run_dir))


def _from_results(config: RunConfig, run_dir: Path) -> dict[int, str]:
    """Replay the algorithm from a full recording."""
    num_workers = recorded_workers(run_dir)
    scores = [read_entries(run_dir, worker) for worker in range(num_workers)]
    first = scores[0][0].event
    if not isinstance(first, Initial):
        raise HpctrainError(f"{run_dir}: the recording does not begin with the initial parameters")
    values = {fragment.index: first.values[fragment.index] for fragment in first.fragments}
    algorithm = IslandTraining(
        first.fragments,
        method_of(config),
        num_workers,
        lambda fragment: np.array(values[fragment.index]),
        budget_of(config),
    )
    states = rehearse(algorithm, [entries[1:] for entries in scores])
    return _fingerprints(states)


def _from_order(config: RunConfig, run_dir: Path) -> dict[int, str]:
    """Replay the training from a recording of the order of events."""
    ranks = _num_ranks(run_dir)
    identity = open_run(run_dir).identity
    threads = int(identity.get("threads_per_rank", 1))
    if identity.get("simulated"):  # there every worker has a single rank
        topology = config.topology.model_copy(update={"ranks_per_worker": 1})
        config = config.model_copy(update={"topology": topology})
    quiet = config.model_copy(
        update={
            "runtime": config.runtime.model_copy(
                update={
                    "record": "off",
                    "follow": str(run_dir),
                    "device": "cpu",
                    "threads_per_rank": threads,
                }
            ),
            "checkpoint": config.checkpoint.model_copy(update={"resume": False, "signals": ()}),
            "progress": config.progress.model_copy(update={"show": "none"}),
            "pace": config.pace.model_copy(update={"factors": (), "step_s": 0.0}),
            "evaluate": config.evaluate.model_copy(update={"every_rounds": 0}),
        }
    )
    launcher = Launcher(name="none", host="thread")

    def rank_program(world: ThreadWorld) -> dict[int, str]:
        return TrainLoop(quiet, world, launcher, keep=False).follow()

    found: dict[int, str] = {}
    for some in run_in_threads(ranks, rank_program):
        found |= some
    return found


def _num_ranks(run_dir: Path) -> int:
    identity = open_run(run_dir).identity
    return int(identity.get("num_ranks", recorded_workers(run_dir)))


def _fingerprints(states: list[Any]) -> dict[int, str]:
    import hashlib

    return {
        index: hashlib.sha256(outer.theta.tobytes()).hexdigest()
        for state in states
        for index, outer in state.home.outer.items()
    }


def _report(run_dir: Path, expected: dict[int, str], found: dict[int, str]) -> int:
    console = Console(highlight=False)
    different = [f for f in sorted(expected) if expected[f] != found.get(f)]
    if not different:
        console.print(
            f"identical: all {len(expected)} fragments of {run_dir} end with the recorded bits",
            soft_wrap=True,
        )
        return 0
    console.print(
        f"different: {len(different)} of {len(expected)} fragments of {run_dir} end with other "
        f"bits: {different}. Same machine type, torch version and threads? Inner steps on a GPU, "
        "or summed over more than two ranks, do not repeat to the bit; record with "
        'runtime.record = "full"',
        soft_wrap=True,
    )
    return 1
