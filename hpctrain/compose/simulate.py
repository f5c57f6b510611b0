"""`hpctrain simulate`: the run of the same file in virtual time, in one process, without MPI."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch

from hpctrain.compose.evaluation import Evaluator, rounds_between_evaluations
from hpctrain.compose.imagined import costs_of, imagined_topology, paces_of
from hpctrain.compose.imagined_energy import imagined_energy
from hpctrain.compose.method import method_of, num_fragments_of
from hpctrain.compose.progress import budget_of, progress_of
from hpctrain.compose.recordings import FileJournal, record_initial, score_for
from hpctrain.compose.saved_simulation import restore_simulation, save_simulation
from hpctrain.compose.start import on_signals
from hpctrain.compose.stores import open_store
from hpctrain.compose.tasks import change_domain, island_names, make_task, num_domains_of
from hpctrain.config import simulated_workers
from hpctrain.core.seeds import stream
from hpctrain.errors import HpctrainError
from hpctrain.report.progress import ProgressDisplay
from hpctrain.report.summary import IslandSummary, RunSummary, print_summary
from hpctrain.runtime.alone import AloneWorld
from hpctrain.runtime.driver import Driver
from hpctrain.runtime.ports import NullNotebook
from hpctrain.runtime.simulator import Simulator
from hpctrain.storage.checkpoints import CheckpointDir
from hpctrain.storage.store import RunStore
from hpctrain.training.algorithm import IslandTraining
from hpctrain.training.fragments import Fragment
from hpctrain.training.messages import RoundTrained, TrainRound
from hpctrain.workers.generators import OwnGenerators
from hpctrain.workers.replica import Replica
from hpctrain.workers.rounds import ModelPort, Round
from hpctrain.workers.timing import NoArithmetic, TimingModel, TrueSizes
from hpctrain.workers.trainer import Trainer
from hpctrain.workers.virtual import NoWork, Trainee, VirtualWorker
from hpctrain.workloads.task import FollowsProgress

if TYPE_CHECKING:
    from hpctrain.config import RunConfig
    from hpctrain.workloads.task import Task

EVENTS_AT_ONCE = 2000  # between two looks at signals and the display


def simulate(config: RunConfig) -> int:
    """Simulate, print a summary, return the exit code."""
    run = Simulation(config)
    on_signals(config.checkpoint.signals, run.request_stop)
    return run.run()


@dataclass
class _Worker:
    """One imagined worker, and the real objects that stand for it."""

    virtual: VirtualWorker
    driver: Driver[Any]
    trainer: Trainer | None
    task: Task | None
    evaluator: Evaluator | None
    tokens: int = 0
    steps: int = 0
    rounds_end_s: float = 0.0
    waited_s: float = 0.0
    bytes_before: int = 0


class Simulation:
    """A run in virtual time.

    With `work = "train"` the inner steps are real, with `"timing"` there are none.
    """

    def __init__(self, config: RunConfig) -> None:
        torch.set_num_threads(
            1 if config.runtime.threads_per_rank == "auto" else config.runtime.threads_per_rank
        )
        self.config = config
        self.num_workers = simulated_workers(config)
        self.topology = imagined_topology(config, self.num_workers)
        self.energy = imagined_energy(config)
        self._stop_reason: str | None = None
        self._first_task = self._make_task(0)
        num_domains = num_domains_of(config, self._first_task)
        self.method = method_of(config, self.topology, num_domains)
        if config.simulate.work == "timing":
            self.method = replace(self.method, rule=NoArithmetic())
        names = island_names(config, self.topology, self._first_task)
        self.topology = replace(self.topology, island_names=names)
        self._replica = Replica(self._first_task.model, config.method.buffers == "average")
        self.fragments = self._replica.plan(self.num_workers, num_fragments_of(config))
        self.paces = paces_of(config, self.topology)
        timing = config.simulate.work == "timing"
        self.simulator = Simulator(
            self.num_workers, costs_of(config, self.paces), TrueSizes(self.fragments)
        )
        if timing:
            self.fragments = TimingModel(self.fragments).fragments
        self.store: RunStore = open_store(
            config,
            AloneWorld(),
            self.topology,
            parameters=self._replica.numel,
            simulated=True,
            num_ranks=self.num_workers,
        )
        self.workers: list[_Worker] = []
        self._algorithm = self._make_algorithm()
        for worker in range(self.num_workers):
            self.workers.append(self._make_worker(worker, timing))
        self.progress = ProgressDisplay(config.progress.show, config.stop.steps)

    def request_stop(self, reason: str) -> None:
        """Save at the next opportunity and stop."""
        self._stop_reason = reason

    def run(self) -> int:
        """From the start, or from a checkpoint, to the end."""
        began_s = perf_counter()
        self._start()
        try:
            ended = self._let_time_pass()
        finally:
            self.progress.close()
        if not ended:
            return self._stopped()
        self._check_all_finished()
        self._note_the_rest()
        summary = self._summarise(self._final_losses(), perf_counter() - began_s)
        self._note_homes()
        for me, row in self.energy.rows(self.simulator.now_s(), self.num_workers):
            self.note(me, "energy", row)
        self._save("finish")
        self._close("finish", "the budget is spent")
        if self.config.progress.show != "none":
            print_summary(summary)
        return 0

    def fingerprints(self) -> dict[int, str]:
        """SHA-256 of the outer parameters of every fragment."""
        import hashlib

        return {
            index: hashlib.sha256(outer.theta.tobytes()).hexdigest()
            for worker in self.workers
            for index, outer in worker.driver.state.home.outer.items()
        }

    def _make_algorithm(self) -> IslandTraining:
        budget = budget_of(self.config, self.energy.budget)
        return IslandTraining(
            self.fragments, self.method, self.num_workers, self._initial, budget,
            self.energy.gate,
        )  # fmt: skip

    def _make_task(self, me: int) -> Task:
        with OwnGenerators(stream(self.config.seed, 0, "task")).active():  # alike everywhere
            return make_task(self.config, self.topology, me, "cpu")

    def _initial(self, fragment: Fragment) -> Any:
        if self.config.simulate.work == "timing":
            return TimingModel(self.fragments).read(fragment)
        return self._replica.read(fragment)

    def _make_worker(self, me: int, timing: bool) -> _Worker:
        config, simulator = self.config, self.simulator
        task, trainer, evaluator = None, None, None
        model: ModelPort
        trainee: Trainee
        if timing:
            model, trainee = TimingModel(self.fragments), NoWork()
        else:
            task = self._first_task if me == 0 else self._make_task(me)
            replica = Replica(task.model, config.method.buffers == "average")
            replica.fragments = self.fragments
            model = replica
            trainee = trainer = Trainer(
                task, lambda tokens, loss: self._count(me, tokens), config.runtime.amp,
                generators=OwnGenerators(stream(config.seed, me, "generators")),
            )  # fmt: skip
            evaluator = Evaluator(
                task, _VirtualNotebook(self, me), me, rounds_between_evaluations(config)
            )
        round = Round(model, self.method.gradients, self.method.overlap)
        round.timed = self.method.local_steps.timed
        round.set_anchors([model.read(fragment) for fragment in self.fragments])
        virtual = VirtualWorker(
            me, round, trainee, simulator, on_round=lambda order: self._at_round(me, order),
            on_result=lambda order, result, compute_s: self._at_result(me, order, result,
            compute_s),
            spend=lambda compute_s: self.energy.spend(me, compute_s, simulator.now_s()),
        )  # fmt: skip
        journal = None
        if config.runtime.record != "off":
            journal = FileJournal(Path(config.run_dir), me)
        notebook = NullNotebook() if timing else _VirtualNotebook(self, me)
        driver = Driver(
            self._algorithm, me, simulator.mailbox(me), virtual, notebook, simulator,
            steps_done=virtual.steps_done,
            journal=journal,
            full=config.runtime.record == "full",
            score=score_for(config, me, self.num_workers),
            set_timer=lambda name, at_s: simulator.set_timer(me, name, at_s),
        )  # fmt: skip
        virtual.driver = driver
        if config.runtime.record == "full":
            record_initial(journal, self.fragments, round.state.anchors)
        simulator.add(driver, virtual)
        return _Worker(virtual, driver, trainer, task, evaluator)

    def _start(self) -> None:
        checkpoint = None
        if self.config.checkpoint.resume:
            checkpoint = CheckpointDir(self.config.run_dir).latest()
        if checkpoint is None:
            self.simulator.start()
        else:
            restore_simulation(self, checkpoint)
            for me, worker in enumerate(self.workers):
                self.energy.resume(me, worker.rounds_end_s, worker.waited_s)

    def _let_time_pass(self) -> bool:
        """True when nothing is left to happen, False if the run is to stop before."""
        every_s = self.config.checkpoint.every_minutes * 60
        save_at_s = self.simulator.now_s() + every_s if every_s else float("inf")
        while True:
            before = self.simulator.num_events
            if self.simulator.run(save_at_s, EVENTS_AT_ONCE if self._is_timing else 20):
                return True
            if self._stop_reason is not None:
                return False
            self._show()
            self.store.fold_if_due()
            if self.simulator.num_events == before:  # it was the time that ran out
                self._save("checkpoint")
                save_at_s = self.simulator.now_s() + every_s
                self.simulator.run(save_at_s, 1)

    @property
    def _is_timing(self) -> bool:
        return self.config.simulate.work == "timing"

    def _show(self) -> None:
        if self.progress.due:
            steps = sum(worker.steps for worker in self.workers)
            self.progress.update(steps, f"virtual time {self.simulator.now_s():.1f} s")

    def _count(self, me: int, tokens: int) -> None:
        self.workers[me].virtual.round.state.tokens += tokens

    def _at_round(self, me: int, order: TrainRound) -> None:
        evaluator, task = self.workers[me].evaluator, self.workers[me].task
        if isinstance(task, FollowsProgress):
            now_s = self.simulator.now_s()
            task.at_progress(progress_of(self.config, order.global_steps, now_s, order.sent))
        if task is not None and order.domain is not None:
            change_domain(task, order.domain)
        if evaluator is not None:
            evaluator.at_round(order)

    def _at_result(
        self, me: int, order: TrainRound, result: RoundTrained, compute_s: float
    ) -> None:
        self._note_round(me, order.round, order.version, result.steps, result.tokens, compute_s)

    def _note_the_rest(self) -> None:
        """Note what came after the last rounds, as rounds of no steps: waiting, an exchange."""
        for me, worker in enumerate(self.workers):
            learner = worker.driver.state.learner
            self._note_round(me, learner.round, min(learner.versions), 0, 0, 0.0)

    def _note_round(
        self, me: int, number: int, version: int, steps: int, tokens: int, compute_s: float
    ) -> None:
        worker, now_s = self.workers[me], self.simulator.now_s()
        waited_s = max(0.0, now_s - worker.rounds_end_s - compute_s)
        worker.rounds_end_s = now_s
        worker.waited_s += waited_s
        worker.steps += steps
        worker.tokens += tokens
        sent = self.simulator.bytes_sent[me]
        row = {
            "round": number,
            "island": self.topology.workers[me].island,
            "steps": steps,
            "tokens": tokens,
            "base_version_min": version,
            "compute_s": compute_s,
            "exchange_s": 0.0,
            "wait_s": waited_s,
            "evaluate_s": 0.0,
            "bytes_sent": sent - worker.bytes_before,
        }
        worker.bytes_before = sent
        self.note(me, "round", row)

    def note(self, me: int, kind: str, fields: Mapping[str, Any]) -> None:
        """A row of one worker, at the present virtual time."""
        self.store.note(kind, {"time_s": self.simulator.now_s(), "worker": me, **fields})

    def _check_all_finished(self) -> None:
        waiting = [me for me, worker in enumerate(self.workers) if not worker.driver.finished]
        if waiting:
            raise HpctrainError(
                f"nothing is left to happen, but the workers {waiting[:10]} have not "
                "finished; if this follows a recording, it is of another configuration"
            )

    def _final_losses(self) -> dict[str, float]:
        first = self.workers[0]
        if first.task is None or first.evaluator is None:
            return {}
        state = first.driver.state.learner
        return first.evaluator.evaluate(
            first.task.domains, state.round, min(state.versions), state.global_steps
        )

    def _summarise(self, losses: Mapping[str, float], seconds: float) -> RunSummary:
        virtual_s = self.simulator.now_s()
        workers = tuple(
            IslandSummary(
                worker=me,
                island=self.topology.island_name(me),
                ranks=1,
                pace=self.paces[me],
                rounds=worker.driver.state.learner.round,
                steps=worker.steps,
                tokens=worker.tokens,
                seconds=virtual_s,
                waited_s=worker.waited_s,
                bytes_sent=self.simulator.bytes_sent[me],
            )
            for me, worker in enumerate(self.workers)
        )
        return RunSummary(
            title=f"{self.config.name} (simulated in {seconds:.1f} s)",
            method=self.method.name,
            parameters=self._replica.numel,
            seconds=virtual_s,
            workers=workers,
            losses=losses,
            run_dir=Path(self.config.run_dir),
            energy=self.energy.line(virtual_s, self.num_workers),
        )

    def _note_homes(self) -> None:
        for me, worker in enumerate(self.workers):
            for index in worker.driver.state.home.outer:
                self.note(me, "home", {"fragment": index, "sha256": self.fingerprints()[index]})

    def _save(self, kind: str) -> None:
        number = save_simulation(self)
        self.note(0, "event", {"kind": "checkpoint", "text": f"{kind}: checkpoint {number}"})

    def _stopped(self) -> int:
        self._save("stop")
        reason = self._stop_reason or ""
        self._close("stop", reason)
        print(f"stopped ({reason}): saved in {self.config.run_dir}; go on with --resume")
        return 0

    def _close(self, kind: str, text: str) -> None:
        self.note(0, "event", {"kind": kind, "text": text})
        for worker in self.workers:
            worker.driver.close_journal()
        self.store.close()


class _VirtualNotebook:
    """Writes one worker's rows at virtual times."""

    def __init__(self, simulation: Simulation, me: int) -> None:
        self._simulation = simulation
        self._me = me

    def note(self, kind: str, fields: Mapping[str, Any]) -> None:
        self._simulation.note(self._me, kind, fields)
