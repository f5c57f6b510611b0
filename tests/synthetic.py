"""Small numpy models and whole clusters of them in virtual time: what tests of methods run on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpctrain.core.algorithm import Algorithm
from hpctrain.core.gate import ALWAYS_OPEN, Gate
from hpctrain.runtime.driver import Driver
from hpctrain.runtime.recording import MemoryJournal
from hpctrain.runtime.simulator import CostModel, Simulator
from hpctrain.training.algorithm import Budget, IslandTraining
from hpctrain.training.fragments import Fragment, TensorSlot, plan_fragments
from hpctrain.training.methods import Method
from hpctrain.training.state import TrainingState
from hpctrain.workers.rounds import Round
from hpctrain.workers.virtual import VirtualWorker

Array = NDArray[np.float32]
UNLIMITED = Budget()


def slots(sizes: Sequence[int], prefix: str = "w") -> list[TensorSlot]:
    return [TensorSlot(f"{prefix}{i}", size) for i, size in enumerate(sizes)]


def start_values(fragments: Sequence[Fragment], seed: int = 7) -> list[Array]:
    """The same for every worker."""
    generator = np.random.default_rng(seed)
    return [generator.normal(size=f.numel).astype(np.float32) for f in fragments]


class Bowl:
    """A quadratic bowl: every step moves the parameters by `lr` of the way to `optimum`.

    A model and a trainee in one. Each step has its own small noise, so that a step that is left
    out, taken twice or taken elsewhere leaves a trace. Buffers hold the number of steps taken.
    """

    def __init__(
        self,
        fragments: tuple[Fragment, ...],
        values: Sequence[Array],
        optimum: float = 0.0,
        lr: float = 0.1,
        noise: float = 0.01,
        seed: int = 0,
    ) -> None:
        self.fragments = fragments
        self.steps = 0
        self._values = [value.copy() for value in values]
        self._gradients = [np.zeros_like(value) for value in values]
        self._optimum = np.float32(optimum)
        self._lr = np.float32(lr)
        self._noise = np.float32(noise)
        self._seed = seed

    exact = True

    def read(self, fragment: Fragment) -> Array:
        return self._values[fragment.index].copy()

    def write(self, fragment: Fragment, data: Array) -> None:
        np.copyto(self._values[fragment.index], data)

    def read_gradients(self, fragment: Fragment) -> Array:
        is_buffer = fragment.kind == "buffers"
        return self.read(fragment) if is_buffer else self._gradients[fragment.index].copy()

    def write_gradients(self, fragment: Fragment, data: Array) -> None:
        is_buffer = fragment.kind == "buffers"
        np.copyto((self._values if is_buffer else self._gradients)[fragment.index], data)

    def compute_gradient(self) -> None:
        generator = np.random.default_rng([self._seed, self.steps])
        for fragment in self.fragments:
            if fragment.kind == "parameters":
                theta = self._values[fragment.index]
                noise = generator.normal(size=theta.size).astype(np.float32)
                self._gradients[fragment.index] = theta - self._optimum + self._noise * noise

    def apply_gradient(self) -> None:
        self.steps += 1
        for fragment in self.fragments:
            if fragment.kind == "parameters":
                self._values[fragment.index] -= self._lr * self._gradients[fragment.index]
            else:
                self._values[fragment.index][:] += 1


class Slope(Bowl):
    """Every step adds `-lr * direction`, wherever the parameters are."""

    direction = np.float32(1.0)

    def compute_gradient(self) -> None:
        for gradient in self._gradients:
            gradient[:] = self.direction


class Broken(Bowl):
    """Its gradients are NaN."""

    def compute_gradient(self) -> None:
        for gradient in self._gradients:
            gradient[:] = np.nan


class ListNotebook:
    """Keeps the rows of one worker."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, dict[str, Any]]] = []

    def note(self, kind: str, fields: Mapping[str, Any]) -> None:
        self.rows.append((kind, dict(fields)))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [fields for found, fields in self.rows if found == kind]


@dataclass
class Cluster:
    """A simulated run, before, in and after its virtual time."""

    fragments: tuple[Fragment, ...]
    method: Method
    simulator: Simulator
    starts: list[Array]
    models: list[Bowl] = field(default_factory=list)
    workers: list[VirtualWorker] = field(default_factory=list)
    notebooks: list[ListNotebook] = field(default_factory=list)
    journals: list[MemoryJournal] = field(default_factory=list)

    @property
    def drivers(self) -> list[Driver[TrainingState]]:
        return self.simulator.drivers

    @property
    def all_finished(self) -> bool:
        return all(driver.finished for driver in self.drivers)

    @property
    def steps(self) -> list[int]:
        return [model.steps for model in self.models]

    @property
    def rounds(self) -> list[int]:
        return [driver.state.learner.round for driver in self.drivers]

    def outer(self, fragment: Fragment) -> Any:
        return self.drivers[fragment.home].state.home.outer[fragment.index]

    def merged_steps(self, fragment: Fragment) -> int:
        return self.drivers[fragment.home].state.home.steps[fragment.index]

    def updates(self, fragment: Fragment) -> list[dict[str, Any]]:
        rows = self.notebooks[fragment.home].of("outer_update")
        return [row for row in rows if row["fragment"] == fragment.index]

    def parameters(self, worker: int) -> list[bytes]:
        return [self.models[worker].read(fragment).tobytes() for fragment in self.fragments]

    def run(self) -> Cluster:
        self.simulator.start()
        assert self.simulator.run(max_events=200_000), "the simulation does not end"
        return self


def bowls(fragments: tuple[Fragment, ...], starts: list[Array], me: int) -> Bowl:
    """Every worker has another optimum."""
    return Bowl(fragments, starts, optimum=float(me), seed=me)


def make_cluster(
    method: Method,
    step_s: Sequence[float],
    *,
    budget: Budget = UNLIMITED,
    sizes: Sequence[int] = (6, 3, 4),
    buffers: Sequence[int] = (),
    num_fragments: int | None = None,
    jitter: float = 0.0,
    latency_s: float = 1e-3,
    bandwidth_bytes_per_s: float = 1e9,
    merge_bytes_per_s: float = 4e9,
    seed: int = 0,
    make_model: Callable[[tuple[Fragment, ...], list[Array], int], Bowl] = bowls,
    wrap: Callable[[Algorithm[TrainingState], int], Algorithm[TrainingState]] = lambda a, me: a,
    stops: Sequence[tuple[int, float]] = (),
    gate: Gate = ALWAYS_OPEN,
    watts: float = 0.0,
) -> Cluster:
    """A cluster that has not started. `stops` are (worker, seconds) at which a script ends.

    A worker that computes takes `watts`; the budget is of joules.
    """
    num_workers = len(step_s)
    fragments = plan_fragments(slots(sizes), slots(buffers, "b"), num_workers, num_fragments)
    starts = start_values(fragments)
    cost = CostModel(
        tuple(step_s), jitter, latency_s, bandwidth_bytes_per_s, merge_bytes_per_s, seed
    )
    simulator = Simulator(num_workers, cost)
    algorithm = IslandTraining(
        fragments, method, num_workers, lambda fragment: starts[fragment.index].copy(), budget, gate
    )
    cluster = Cluster(fragments, method, simulator, starts)
    for me in range(num_workers):
        _add_worker(cluster, wrap(algorithm, me), make_model(fragments, starts, me), watts)
    for worker, at_s in stops:
        simulator.request_stop(worker, "the script has ended", at_s)
    return cluster


def _add_worker(
    cluster: Cluster, algorithm: Algorithm[TrainingState], model: Bowl, watts: float
) -> None:
    me, simulator = len(cluster.workers), cluster.simulator
    round = Round(model, cluster.method.gradients, cluster.method.overlap)
    round.timed = cluster.method.local_steps.timed
    round.set_anchors([value.copy() for value in cluster.starts])
    worker = VirtualWorker(me, round, model, simulator, spend=lambda s: watts * s)
    notebook, journal = ListNotebook(), MemoryJournal()
    worker.driver = Driver(
        algorithm, me, simulator.mailbox(me), worker, notebook, simulator,
        steps_done=worker.steps_done, journal=journal,
        set_timer=lambda name, at_s: simulator.set_timer(me, name, at_s),
    )  # fmt: skip
    simulator.add(worker.driver, worker)
    cluster.models.append(model)
    cluster.workers.append(worker)
    cluster.notebooks.append(notebook)
    cluster.journals.append(journal)
