"""One rank of a training run, put together: shared by `hpctrain train`, scripts and replays."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from hpctrain.compose.clock import RunClock
from hpctrain.compose.gpus import local_rank_of
from hpctrain.compose.method import method_of, num_fragments_of
from hpctrain.compose.progress import budget_of
from hpctrain.compose.recordings import record_initial
from hpctrain.core.events import Started
from hpctrain.core.gate import ALWAYS_OPEN, Gate
from hpctrain.core.topology import Topology
from hpctrain.runtime.driver import Driver
from hpctrain.runtime.ports import ClosableMailbox, Notebook, World
from hpctrain.runtime.recording import Journal, Score
from hpctrain.runtime.snapshot import Snapshots
from hpctrain.storage.checkpoints import Checkpoint, CheckpointDir
from hpctrain.storage.parts import PartInfo
from hpctrain.training.algorithm import IslandTraining
from hpctrain.training.home import EnergyBudget
from hpctrain.workers.generators import restore_generators
from hpctrain.workers.lockstep import Lockstep, SingleRank
from hpctrain.workers.orders import Orders
from hpctrain.workers.replica import Replica
from hpctrain.workers.service import WORTH_IT_S, ServiceThread
from hpctrain.workers.session import Session, SessionSettings
from hpctrain.workers.shards import joined_shards, local_shards, meshes_of
from hpctrain.workers.vault import TrainingVault, restore_leader

if TYPE_CHECKING:
    from hpctrain.config import RunConfig


@dataclass
class IslandRun:
    """The objects of one rank, and what is done with them at the beginning and the end.

    `own_state` and `load_own_state` save and load what belongs to this rank besides the model;
    `spent` is its energy to date, in the unit of the budget; `num_domains` those of the task, where
    workers change theirs.
    """

    config: RunConfig
    world: World
    topology: Topology
    notebook: Notebook
    clock: RunClock
    replica: Replica
    own_state: Callable[[], dict[str, Any]]
    load_own_state: Callable[[Mapping[str, Any]], None]
    run_dir: str | None
    journal: Journal | None = None
    score: Score | None = None
    deadline_s: float | None = None
    resumed: Checkpoint | None = None
    apply_owed_gradient: Callable[[], Any] = lambda: None
    average_gradients: bool = True
    energy_budget: EnergyBudget | None = None
    gate: Gate = ALWAYS_OPEN
    spent: Callable[[], float] | None = None
    save_failure: str | None = None
    num_domains: int = 0
    session: Session = field(init=False)
    mailbox: ClosableMailbox = field(init=False)
    _service: ServiceThread | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._generators: Mapping[str, Any] = {}
        self.me = self.topology.worker_of(self.world.rank)
        self.method = method_of(self.config, self.topology, self.num_domains)
        self.replica.plan(len(self.topology.workers), num_fragments_of(self.config))
        if self.resumed is None:
            self._share_the_model()
        self._start_values = [self.replica.read(fragment) for fragment in self.replica.fragments]
        self.mailbox = self.world.mailbox(self.topology)
        vault = self._make_vault()
        group = self.world.group(self.topology) or SingleRank()
        save = self._save_part(vault)
        lockstep = Lockstep(self.replica, group, save, self.average_gradients)
        lockstep.spent = self.spent
        self.session = self._make_session(lockstep)
        if vault is not None:
            vault.session = self.session
            self._add_snapshots(vault)

    def start(self, restored: Callable[[], None] = lambda: None) -> None:
        """Begin, or go on from a checkpoint; returns when the first step may be taken.

        Args:
            restored: called when the session stands where it was left. The first step may be hours
                away then: while energy is dear nothing begins.
        """
        session, driver = self.session, self.session.driver
        if self.resumed is not None:
            self._restore(self.resumed)
        else:
            session.round.set_anchors(self._start_values)
        if self.config.runtime.record == "full" and self.score is None:
            record_initial(self.journal, self.replica.fragments, self._start_values)
        self._start_values = []
        restored()
        if driver is not None:
            driver.handle(Started())
        session.start()
        if session.gradient_owed:
            self.apply_owed_gradient()
        if self.config.runtime.service_thread is True:
            self._start_service()

    def maybe_serve(self, step_s: float) -> None:
        """Start the service thread if steps are long enough to need it."""
        automatic = self.config.runtime.service_thread == "auto" and self._service is None
        if automatic and step_s >= WORTH_IT_S and not self.method.synchronous:
            self._start_service()

    def finish(self) -> None:
        """Leave the run in good order; afterwards the model holds the outcome."""
        self.session.finish()
        self.session.note_the_rest()
        self.stop_service()

    def stop_service(self) -> None:
        if self._service is not None:
            self._service.stop()

    def save_the_end(self) -> None:
        """Collective, after `finish`: a last checkpoint, from which a larger budget can go on."""
        if self.run_dir is None:
            return
        writer = self._writer()
        number = self.world.share(writer.next_number())
        vault = self._make_vault()
        assert vault is not None
        vault.session = self.session
        parts = [vault.save_rank(number)]
        if self.session.driver is not None:
            parts += vault.save_end(number)
        gathered = [part for some in self.world.gather(parts) for part in some]
        if self.world.rank == 0:
            vault.commit(number, gathered)

    def fingerprints(self) -> dict[int, str]:
        """SHA-256 of the outer parameters of each fragment whose home is here."""
        driver = self.session.driver
        if driver is None:
            return {}
        outer = driver.state.home.outer
        return {
            index: hashlib.sha256(state.theta.tobytes()).hexdigest()
            for index, state in outer.items()
        }

    def close(self) -> None:
        """Give back what MPI holds."""
        self.stop_service()
        self.mailbox.close()

    def _share_the_model(self) -> None:
        """All replicas start as rank 0's, whatever seeds the script has set."""
        if self.world.size == 1:
            return
        for fragment in self.replica.fragments:
            data = self.replica.read(fragment)
            self.world.share_array(data)
            self.replica.write(fragment, data)

    def _make_session(self, lockstep: Lockstep) -> Session:
        config, orders = self.config, Orders()
        settings = SessionSettings(
            gradients=self.method.gradients,
            overlap=self.method.overlap,
            late=self.method.overlap and self.score is None,
            save_every_s=self._save_every_s(),
            deadline_s=self.deadline_s,
        )
        driver = None
        if lockstep.leads:
            algorithm = IslandTraining(
                self.replica.fragments,
                self.method,
                len(self.topology.workers),
                lambda fragment: self._start_values[fragment.index].copy(),
                budget_of(config, self.energy_budget),
                self.gate,
            )
            driver = Driver(
                algorithm, self.me.id, self.mailbox, orders, self.notebook, self.clock,
                steps_done=lambda: self.session.steps_told,
                journal=self.journal, full=config.runtime.record == "full", score=self.score,
            )  # fmt: skip
        session = Session(lockstep, driver, orders, self.notebook, self.clock.now_s, settings)
        session.round.timed = self.method.local_steps.timed
        session.round.seconds = session.phases.computed_s
        session.log.bytes_moved = lambda: (self.mailbox.bytes_sent, self.mailbox.bytes_received)
        return session

    def _save_every_s(self) -> float | None:
        minutes = self.config.checkpoint.every_minutes
        return minutes * 60 if minutes and self.run_dir is not None and self.me.id == 0 else None

    def _writer(self) -> CheckpointDir:
        assert self.run_dir is not None
        return CheckpointDir(self.run_dir, self.config.checkpoint.keep)

    def _make_vault(self) -> TrainingVault | None:
        if self.run_dir is None:
            return None
        return TrainingVault(
            self._writer(), self.world.rank, self.me.id, self._own_state, self._meta,
            lambda part: PartInfo(*part), self._saving_failed,
        )  # fmt: skip

    def _save_part(self, vault: TrainingVault | None) -> Callable[[int], Any]:
        return (lambda number: None) if vault is None else vault.save_rank

    def _add_snapshots(self, vault: TrainingVault) -> None:
        driver = self.session.driver
        if driver is None or self.score is not None:
            return
        last = self._writer().next_number() - 1
        driver.snapshots = Snapshots(
            self.me.id, len(self.topology.workers), self.mailbox.send, vault, last,
            may_begin=lambda: not driver.state.home.closed,
        )  # fmt: skip

    def _saving_failed(self, text: str) -> None:
        self.save_failure = text
        self.notebook.note("event", {"kind": "checkpoint failed", "text": text})

    def _own_state(self) -> dict[str, Any]:
        own = {"model": self.replica.model.state_dict(), "rest": self.own_state()}
        return local_shards(own) if self.replica.sharded else own

    def _meta(self) -> dict[str, Any]:
        return {
            "time_s": self.clock.now_s(),
            "workers": [list(worker.ranks) for worker in self.topology.workers],
            "method": self.method.name,
        }

    def _restore(self, checkpoint: Checkpoint) -> None:
        writer, session = self._writer(), self.session
        own = writer.read_part(checkpoint, f"rank-{self.world.rank:05d}")
        tree = joined_shards(own["own"], meshes_of(self.replica.model))
        self.replica.model.load_state_dict(tree["model"])
        self.load_own_state(tree["rest"])
        session.gradient_owed = own["gradient_owed"]
        self._generators = own["generators"]
        self.restore_generators()
        if session.driver is not None:
            state = writer.read_part(checkpoint, f"worker-{self.me.id:05d}")
            in_flight = writer.read_part(checkpoint, f"in-flight-{self.me.id:05d}")
            self.mailbox.bytes_sent, self.mailbox.bytes_received = state["tally"]["bytes"]
            restore_leader(session, state, in_flight)

    def restore_generators(self) -> None:
        """Set the global generators to where the checkpoint found them."""
        restore_generators(self._generators)

    def _start_service(self) -> None:
        driver = self.session.driver
        if driver is None or not self.world.threads or len(self.topology.workers) == 1:
            return
        if self.score is not None:
            return

        def look() -> None:
            frozen = driver.snapshots is not None and driver.snapshots.frozen
            if not driver.finished and not frozen and self.session.ahead.hand_in(driver):
                driver.pump(at_pause=False)

        self._service = ServiceThread(look, self.session.lock, self.world.abort)
        self._service.start()


def checkpoint_to_resume(config: RunConfig, world: World, topology: Topology) -> Checkpoint | None:
    """Collective. The newest complete checkpoint, if the run is to be resumed and there is one.

    Raises:
        ConfigError: if it was made by another number of ranks or workers.
    """
    from hpctrain.errors import ConfigError

    if not config.checkpoint.resume:
        return None
    checkpoint: Checkpoint | None = world.share(
        CheckpointDir(config.run_dir).latest() if world.rank == 0 else None
    )
    if checkpoint is None:
        return None
    now = [list(worker.ranks) for worker in topology.workers]
    if checkpoint.meta["workers"] != now:
        raise ConfigError(
            f"{config.source}: checkpoint.resume: {checkpoint.path} was made by workers of the "
            f"ranks {checkpoint.meta['workers']}, but now they are {now}; start the same number "
            "of ranks with the same topology"
        )
    return checkpoint


def set_threads(config: RunConfig) -> None:
    """Threads of torch in this rank: under some launchers it starts with all cores of the host."""
    import os

    asked = config.runtime.threads_per_rank
    if asked != "auto":
        torch.set_num_threads(asked)
        return
    if "OMP_NUM_THREADS" not in os.environ:
        from hpctrain.cluster.launcher import read_launcher

        here = read_launcher(os.environ).local_size or 1
        torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // here))


def pick_device(config: RunConfig, world: World) -> str:
    """Collective. One device per rank: the GPU whose number is the rank's on its host, or the CPU.

    Where the launcher shows each rank a GPU of its own, that is the only one, and taken.

    Raises:
        ConfigError: if a GPU is asked for and there is none.
    """
    from hpctrain.errors import ConfigError

    local = local_rank_of(world)
    asked = config.runtime.device
    if asked == "cpu" or (asked == "auto" and not torch.cuda.is_available()):
        return "cpu"
    if not torch.cuda.is_available():
        raise ConfigError(
            f'{config.source}: runtime.device: "cuda" is asked for, but torch sees no GPU; use '
            '"auto" or "cpu", or see `hpctrain doctor`'
        )
    device = f"cuda:{local % torch.cuda.device_count()}"
    torch.cuda.set_device(device)
    return device
