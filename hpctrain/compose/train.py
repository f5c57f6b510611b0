"""`hpctrain train`: a task on the ranks that were started, from the first step to the summary."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from hpctrain.compose.clock import RunClock
from hpctrain.compose.energy_limits import energy_limits, gate_of, is_recorded
from hpctrain.compose.evaluation import Evaluator, rounds_between_evaluations
from hpctrain.compose.gpus import own_gpus, tell_of_sharing
from hpctrain.compose.island_run import (
    IslandRun,
    checkpoint_to_resume,
    pick_device,
    set_threads,
)
from hpctrain.compose.metering import energy_used, start_metering
from hpctrain.compose.outcome import save_outcome, summarise
from hpctrain.compose.progress import progress_of
from hpctrain.compose.rank_meter import RankMeter
from hpctrain.compose.recordings import journal_for, score_for
from hpctrain.compose.start import (
    attempt,
    connect,
    make_topology,
    on_signals,
    seconds_left,
    together,
)
from hpctrain.compose.stores import TimedNotebook, open_store
from hpctrain.compose.tasks import change_domain, island_names, make_task, num_domains_of
from hpctrain.core.seeds import stream
from hpctrain.errors import HpctrainError
from hpctrain.report.console import seen_by
from hpctrain.report.energy_line import live_text
from hpctrain.report.progress import ProgressDisplay
from hpctrain.report.summary import print_summary
from hpctrain.runtime.ports import Notebook, NullNotebook
from hpctrain.storage.store import RunStore
from hpctrain.training.messages import TrainRound
from hpctrain.workers.generators import OwnGenerators
from hpctrain.workers.replica import Replica
from hpctrain.workers.session import RunStopped
from hpctrain.workers.trainer import Trainer
from hpctrain.workloads.task import FollowsProgress

if TYPE_CHECKING:
    from hpctrain.cluster.launcher import Launcher
    from hpctrain.config import RunConfig
    from hpctrain.core.topology import Topology
    from hpctrain.runtime.ports import World
    from hpctrain.runtime.recording import Score
    from hpctrain.storage.checkpoints import Checkpoint
    from hpctrain.workloads.task import Task

STEPS_TO_TIME = 10


def train(config: RunConfig) -> int:
    """Train on this rank; returns the exit code.

    Raises:
        HpctrainError: on all ranks alike, before the first step, if something about the settings is
            wrong.
    """
    world, launcher = connect()
    loop = TrainLoop(config, world, launcher)
    tell_of_sharing(loop.device, world)
    try:
        return loop.run()
    except HpctrainError as error:  # from here on the other ranks would wait for this one
        world.abort(error)
        return 1


class TrainLoop:
    """One rank of `hpctrain train`. Making it is collective, and so is running it.

    Args:
        config, world, launcher: of the run.
        keep: False: nothing is written, for replays.
        own_process: False: the training is a candidate of a search, which handles signals.

    Attributes:
        losses: the held-out loss of every domain, at the end.
        stopped_by: why it was stopped before its end; None if it was not.
        on_progress: told the inner steps that are known here, often.
    """

    def __init__(
        self,
        config: RunConfig,
        world: World,
        launcher: Launcher,
        keep: bool = True,
        own_process: bool = True,
    ) -> None:
        self.config, self.world, self.launcher = config, world, launcher
        self.losses: dict[str, float] = {}
        self.stopped_by: str | None = None
        self.on_progress: Callable[[int], None] = lambda steps: None
        self._own_process = own_process
        topology = together(world, lambda: make_topology(config, world))
        set_threads(config)
        self.device = together(world, lambda: pick_device(config, world))
        self.task = self._make_task(topology)
        generators = OwnGenerators(stream(config.seed, world.rank, "generators"))
        if keep:
            generators.take_over()
        topology = replace(topology, island_names=island_names(config, topology, self.task))
        resumed = together(world, lambda: checkpoint_to_resume(config, world, topology))
        self.me = topology.worker_of(world.rank)
        self.leads = self.me.ranks[0] == world.rank
        score = self._read_score(len(topology.workers))
        self.limits = energy_limits(config, world) if keep and own_process else None
        self.clock = RunClock(resumed.meta["time_s"] if resumed else 0.0)
        replica = Replica(self.task.model, config.method.buffers == "average")
        self.store = self._open_store(topology, resumed, replica.numel) if keep else None
        self.meter: RankMeter | None = None
        self.notebook = self._notebook_over(self.store)
        if self.store is not None and own_process:
            self.meter = self._start_meter(self.store)
        self.pace = config.pace.factors[self.me.island] if config.pace.factors else 1.0
        self.trainer = self._make_trainer(None if keep else generators)
        self.journal = journal_for(config, self.me.id) if self.leads else None
        self.run_ = self._make_run(topology, replica, resumed, score, keep)
        rounds = rounds_between_evaluations(config)
        self.evaluator = Evaluator(self.task, self.notebook, self.me.id, rounds)
        show = config.progress.show if world.rank == 0 else "none"
        self.terminal = seen_by(launcher.terminal, launcher.is_rank)
        self.progress = ProgressDisplay(show, config.stop.steps, self.terminal)
        self._last_losses: dict[str, float] = {}
        self._attach()

    def run(self) -> int:
        """Train until the budget is spent, or the run is asked to stop."""
        session = self.run_.session
        try:
            self.run_.start(restored=self._follow_phases)
            self._time_some_steps()
            while not session.ended:
                self.trainer.step()
            self.run_.finish()
        except RunStopped as stopped:
            return self._stopped(stopped)
        except BaseException:
            self._end_metering()  # what a failed run used counts as well
            raise
        finally:
            self.progress.close()
        self._conclude()
        return 0

    def _follow_phases(self) -> None:
        if self.meter is not None:
            self.meter.follow(self.run_.session.phases.until_now_ns)

    def follow(self) -> dict[int, str]:
        """Follow a recording to its end; the fingerprints of the fragments at home here."""
        self.run_.start()
        while not self.run_.session.ended:
            self.trainer.step()
        self.run_.finish()
        return self.run_.fingerprints()

    def _make_task(self, topology: Topology) -> Task:
        """The task of this rank; what it draws while it is made is alike everywhere."""
        config, world = self.config, self.world
        with OwnGenerators(stream(config.seed, 0, "task")).active():
            made = attempt(lambda: make_task(config, topology, world.rank, self.device))
        return together(world, made)

    def _open_store(
        self, topology: Topology, resumed: Checkpoint | None, parameters: int
    ) -> RunStore:
        at_s = resumed.meta["time_s"] if resumed else None
        return open_store(self.config, self.world, topology, at_s, parameters=parameters)

    def _notebook_over(self, store: RunStore | None) -> Notebook:
        if store is None:
            return NullNotebook()
        self.world.before_abort = self._note_abort
        return TimedNotebook(store, self.clock, self.me.id, self.me.island)

    def _start_meter(self, store: RunStore) -> RankMeter:
        run_id = store.identity["run_id"]
        gpus = own_gpus(self.device, os.environ)
        return start_metering(self.config, self.world, run_id, self.notebook, self.clock, gpus)

    def _make_trainer(self, generators: OwnGenerators | None) -> Trainer:
        return Trainer(
            self.task,
            lambda tokens, loss: self.run_.session.count(tokens, loss),
            self.config.runtime.amp,
            self.config.pace.step_s * self.pace,
            generators,
            average=lambda: self.run_.session.average_gradients(),
            pause=lambda: self.run_.session.pause_if_due(),
        )

    def _read_score(self, num_workers: int) -> Score | None:
        """What this worker has to follow; read before anything is written."""
        config, me, leads = self.config, self.me.id, self.leads
        return together(self.world, lambda: score_for(config, me, num_workers) if leads else None)

    def _make_run(
        self,
        topology: Topology,
        replica: Replica,
        resumed: Checkpoint | None,
        score: Score | None,
        keep: bool,
    ) -> IslandRun:
        config, world = self.config, self.world
        left_s = seconds_left(self.launcher, config.checkpoint.margin_s)
        return IslandRun(
            config, world, topology, self.notebook, self.clock,
            replica,
            own_state=self.trainer.state_dict,
            load_own_state=self.trainer.load_state_dict,
            run_dir=config.run_dir if keep else None,
            journal=self.journal,
            score=score,
            deadline_s=None if left_s is None else self.clock.now_s() + left_s,
            resumed=resumed,
            apply_owed_gradient=self.trainer.apply_owed_gradient,
            num_domains=num_domains_of(config, self.task),
            **self._energy_of_the_run(),
        )  # fmt: skip

    def _energy_of_the_run(self) -> dict[str, Any]:
        """Budget, pauses, and what is counted; nothing for replays and candidates."""
        limits, meter = self.limits, self.meter
        if limits is None or meter is None:
            return {}
        return {
            "energy_budget": limits.budget,
            "gate": gate_of(self.config, limits.terms, self.world, self.clock),
            "spent": meter.count_in(limits.unit, limits.terms, is_recorded(self.config)),
        }

    def _attach(self) -> None:
        session = self.run_.session
        session.attach(self.task.optimizer)
        session.pauses_later = True
        if isinstance(self.task, FollowsProgress):
            session.lockstep.at_progress = self.task.at_progress
        session.lockstep.at_domain = lambda domain: change_domain(self.task, domain)
        session.on_round = self._at_round
        session.on_pause = self._at_pause
        if self._own_process:
            on_signals(self.config.checkpoint.signals, session.request_stop)

    def _time_some_steps(self) -> None:
        began_s = perf_counter()
        for _ in range(STEPS_TO_TIME):
            if self.run_.session.ended:
                return
            self.trainer.step()
        self.run_.maybe_serve((perf_counter() - began_s) / STEPS_TO_TIME)

    def _at_round(self, order: TrainRound) -> None:
        if self.meter is not None:
            self.meter.round_begins(order.round)
        if order.steps == 0:
            return
        done = progress_of(self.config, order.global_steps, self.clock.now_s(), order.sent)
        self.run_.session.lockstep.tell_progress(done)
        if order.domain is not None:
            self.run_.session.lockstep.tell_domain(order.domain)
        phases = self.run_.session.phases
        before = phases.enter("evaluate")
        self._last_losses = self.evaluator.at_round(order) or self._last_losses
        phases.enter(before)

    def _at_pause(self) -> None:
        if self.store is not None:
            self.store.fold_if_due()
        if self.meter is not None:
            self.meter.poll()
        session = self.run_.session
        known = max(session.round.state.global_steps, session.steps_done)
        self.on_progress(known)
        if self.progress.due:
            losses = "  ".join(f"{k} {v:.3f}" for k, v in self._last_losses.items())
            parts = (f"held-out {losses}" if losses else "", self._energy_text())
            self.progress.update(known, "  ".join(part for part in parts if part))

    def _energy_text(self) -> str:
        if self.meter is None or self.limits is None:
            return ""
        driver = self.run_.session.driver
        spent = 0.0 if driver is None else driver.state.learner.spent
        return live_text(self.meter.now(), spent, self.limits.limit, self.limits.shown_unit)

    def _conclude(self) -> None:
        """Evaluate, save and sum up; every rank takes part."""
        seconds = self.clock.now_s()
        self.losses = losses = self._final_losses()
        save_outcome(self.run_, self.notebook)
        self.run_.save_the_end()
        summary = summarise(self.run_, self.pace, losses, seconds, Path(self.config.run_dir))
        if self.meter is not None:
            summary = replace(summary, energy=energy_used(self.meter, self.world)[0])
        self._close("finish", "the budget is spent")
        if self.world.rank == 0 and self.config.progress.show != "none":
            print_summary(summary, self.terminal)

    def _final_losses(self) -> dict[str, float]:
        """The held-out loss of every domain; the workers share the work."""
        session, workers = self.run_.session, len(self.run_.topology.workers)
        losses: dict[str, float] = {}
        if session.driver is not None:
            mine = self.task.domains[self.run_.me.id :: workers]
            state = session.driver.state.learner
            version = min(state.versions, default=0)
            losses = self.evaluator.evaluate(mine, state.round, version, state.global_steps)
        merged: dict[str, float] = {}
        for some in self.world.gather(losses):
            merged |= some
        return {domain: merged[domain] for domain in self.task.domains if domain in merged}

    def _stopped(self, stopped: RunStopped) -> int:
        self.stopped_by = stopped.reason
        self.run_.stop_service()
        failed = self.run_.save_failure
        if self.meter is not None:
            self.meter.await_last_look()
        self._close("stop", stopped.reason)
        if self.world.rank == 0 and self._own_process:
            where = self.config.run_dir
            text = failed or f"saved in {where}; go on with --resume"
            print(f"stopped ({stopped.reason}): {text}", flush=True)
        return 1 if failed else 0

    def _close(self, kind: str, text: str) -> None:
        self._end_metering()
        self.notebook.note("event", {"kind": kind, "text": text})
        if self.journal is not None:
            self.journal.close()
        if isinstance(self.notebook, TimedNotebook):
            self.notebook.write_kept()
        if self.store is not None:
            self.store.close()
        self.run_.close()

    def _end_metering(self) -> None:
        if self.meter is not None:
            self.meter.close()

    def _note_abort(self, text: str) -> None:
        self._end_metering()
        assert self.store is not None
        self.notebook.note("event", {"kind": "abort", "text": text[-2000:]})
        self.store.flush()
