"""A simulation in the middle of its virtual time: saved whole, and taken up again bit for bit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpctrain.errors import ConfigError
from hpctrain.runtime.codec import from_block, to_block
from hpctrain.storage.checkpoints import Checkpoint, CheckpointDir
from hpctrain.workers.generators import generator_states, restore_generators

if TYPE_CHECKING:
    from hpctrain.compose.simulate import Simulation

PART = "simulation"


def save_simulation(simulation: Simulation) -> int:
    """Write a checkpoint; returns its number."""
    config, simulator = simulation.config, simulation.simulator
    writer = CheckpointDir(config.run_dir, config.checkpoint.keep)
    number = writer.next_number()
    tree = {
        "simulator": to_block(simulator.state),
        "counts": [simulator.num_messages, simulator.num_bytes, simulator.num_events],
        "bytes_sent": list(simulator.bytes_sent),
        "workers": [_worker_tree(worker) for worker in simulation.workers],
        "generators": generator_states(),
    }
    part = writer.write_part(number, PART, tree)
    meta = {"time_s": simulator.now_s(), "workers": simulation.num_workers, "simulated": True}
    writer.commit(number, [part], meta)
    return number


def restore_simulation(simulation: Simulation, checkpoint: Checkpoint) -> None:
    """Go on from `checkpoint`.

    Raises:
        ConfigError: if it is not of a simulation of as many workers.
    """
    config, simulator = simulation.config, simulation.simulator
    if not checkpoint.meta.get("simulated") or checkpoint.meta["workers"] != simulation.num_workers:
        raise ConfigError(
            f"{config.source}: checkpoint.resume: {checkpoint.path} is not of a simulation of "
            f"{simulation.num_workers} workers; give the same number, or another run_dir"
        )
    tree = CheckpointDir(config.run_dir).read_part(checkpoint, PART)
    simulator.restore(from_block(tree["simulator"]))
    simulator.num_messages, simulator.num_bytes, simulator.num_events = tree["counts"]
    simulator.bytes_sent[:] = tree["bytes_sent"]
    for worker, saved in zip(simulation.workers, tree["workers"], strict=True):
        _restore_worker(worker, saved)
    restore_generators(tree["generators"])
    simulator.start()  # workers that had ended go on if the budget was raised


def _worker_tree(worker: Any) -> dict[str, Any]:
    tree = {
        "algorithm": to_block(worker.driver.state),
        "round": to_block(worker.virtual.round.state),
        "virtual": to_block(worker.virtual.state),
        "numbers": [
            worker.tokens, worker.steps, worker.rounds_end_s, worker.waited_s, worker.bytes_before,
        ],
        "finished": worker.driver.finished,
    }  # fmt: skip
    if worker.trainer is not None:
        tree["model"] = worker.task.model.state_dict()
        tree["gradients"] = [p.grad for p in worker.task.model.parameters()]
        tree["trainer"] = worker.trainer.state_dict()
        tree["generators"] = worker.trainer.generators.states
    return tree


def _restore_worker(worker: Any, tree: dict[str, Any]) -> None:
    worker.driver.state = from_block(tree["algorithm"])
    worker.virtual.round.state = from_block(tree["round"])
    worker.virtual.state = from_block(tree["virtual"])
    (worker.tokens, worker.steps, worker.rounds_end_s, worker.waited_s, worker.bytes_before) = tree[
        "numbers"
    ]
    if worker.trainer is not None:
        worker.task.model.load_state_dict(tree["model"])
        for parameter, gradient in zip(
            worker.task.model.parameters(), tree["gradients"], strict=True
        ):
            parameter.grad = gradient
        worker.trainer.load_state_dict(tree["trainer"])
        worker.trainer.generators.states = tree["generators"]
