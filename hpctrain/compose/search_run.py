"""One rank of a search, put together: shared by functions, files, and ask and tell."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpctrain.compose.clock import RunClock
from hpctrain.compose.energy_limits import energy_limits, gate_of
from hpctrain.compose.gpus import visible_gpus
from hpctrain.compose.metering import energy_used, start_metering
from hpctrain.compose.search_outcome import Found, SearchResult
from hpctrain.compose.search_past import check_same_space, history_of, warm_records
from hpctrain.compose.search_setup import (
    search_topology,
    settings_of,
    space_of,
)
from hpctrain.compose.start import connect, on_signals, seconds_left, together
from hpctrain.compose.stores import TimedNotebook, open_store
from hpctrain.errors import ConfigError, HpctrainError, RunStoreError
from hpctrain.report.console import seen_by
from hpctrain.report.energy_line import live_text
from hpctrain.report.progress import ProgressDisplay
from hpctrain.report.words import seconds_text
from hpctrain.runtime.driver import Driver
from hpctrain.searching.algorithm import IslandSearch
from hpctrain.searching.history import History
from hpctrain.searching.messages import Tally
from hpctrain.searching.pareto import pareto_front
from hpctrain.searching.record import Record
from hpctrain.searching.settings import SearchSettings
from hpctrain.searching.space import Space
from hpctrain.storage.layout import RunLayout
from hpctrain.storage.runs import is_run
from hpctrain.workers.candidate import Place
from hpctrain.workers.objective import Objective
from hpctrain.workers.search_loop import OneRank, Orders, SearchLoop

if TYPE_CHECKING:
    from hpctrain.cluster.launcher import Launcher
    from hpctrain.config import RunConfig
    from hpctrain.runtime.ports import World

logger = logging.getLogger(__name__)


class SearchRun:
    """One rank of a search. Making it is collective, and so are `run` and `close`.

    Args:
        config: checked settings.
        space: given in Python; None: `config.search.space`.
        constraint: likewise.
    """

    def __init__(
        self,
        config: RunConfig,
        space: Space | None = None,
        world: World | None = None,
        launcher: Launcher | None = None,
    ) -> None:
        if world is None or launcher is None:
            world, launcher = connect()
        self.config = config
        self.world = world
        self.topology = together(world, lambda: search_topology(config, world))
        self.space = together(world, lambda: space or space_of(config))
        first = world.share(self.space.describe())
        together(world, lambda: _check_same(first, self.space, config))
        history, time_s = self._past()
        self.clock = RunClock(time_s)
        left_s = seconds_left(launcher, config.checkpoint.margin_s)
        allocation_s = inf if left_s is None else time_s + left_s
        self.limits = energy_limits(config, world)
        gate = gate_of(config, self.limits.terms, world, self.clock)
        self.settings = together(
            world,
            lambda: settings_of(config, self.space, history, allocation_s, self.limits, gate),
        )
        me = self.topology.worker_of(world.rank)
        self.store = open_store(config, world, self.topology, time_s, search=self._facts())
        self.notebook = TimedNotebook(self.store, self.clock, me.id, me.island)
        run_id = self.store.identity["run_id"]
        gpus = visible_gpus(os.environ)
        self.meter = start_metering(config, world, run_id, self.notebook, self.clock, gpus)
        world.before_abort = self._note_abort
        self.mailbox = world.mailbox(self.topology)
        self._group = world.talk(self.topology) if len(me.ranks) > 1 else OneRank()
        self.loop = self._make_loop()
        self._meter_candidates()
        if world.threads and len(self.topology.workers) > 1:
            self.loop.serve(world.abort)
        on_signals(config.checkpoint.signals, self.loop.request_stop)
        show = config.progress.show if world.rank == 0 else "none"
        self.terminal = seen_by(launcher.terminal, launcher.is_rank)
        self.progress = ProgressDisplay(
            show, config.search.stop.evaluations, self.terminal, "evaluations"
        )
        gc.freeze()  # what was imported need not be looked through again and again
        self.loop.start()

    def run(self, objective: Objective) -> SearchResult:
        """Evaluate until the search is over."""
        search = self.config.search
        try:
            self.loop.run(objective, search.timeout_s, search.patience_s)
        except HpctrainError as error:  # the other ranks would wait for this one
            self.world.abort(error)
        return self.close()

    def close(self) -> SearchResult:
        """Collective, when the search is over: gather what was found."""
        gc.unfreeze()
        self.loop.stop_service()
        self.progress.close()
        line, joules = energy_used(self.meter, self.world)
        result = replace(self._result(), energy=line, energy_j=joules)
        if self.world.rank == 0:
            self.notebook.note("event", {"kind": "finish", "text": result.reason})
        self.mailbox.close()
        try:
            self.notebook.write_kept()
            self.store.close()
        except RunStoreError as error:  # what was found is still worth returning
            logger.error("the last rows are lost, and a resume evaluates them again: %s", error)
        return result

    def _make_loop(self) -> SearchLoop:
        me = self.topology.worker_of(self.world.rank)
        orders = Orders()
        driver = None
        if self.world.rank == me.ranks[0]:
            algorithm = IslandSearch(self.settings, self.topology)
            driver = Driver(algorithm, me.id, self.mailbox, orders, self.notebook, self.clock)
        place = Place(
            me.id, me.island, self._group.rank, self._group.size,
            Path(self.config.run_dir), getattr(self._group, "comm", lambda: None),
        )  # fmt: skip
        return SearchLoop(
            driver, orders, self._group, place, self.config.seed, self.notebook.note, self._at_pause
        )

    def _meter_candidates(self) -> None:
        spent = self.meter.count_in(self.limits.unit, self.limits.terms)
        if spent is not None:
            self.loop.energy = self.meter.candidates(spent)
            self.loop.energy_is_a_loss = self.config.search.energy_objective

    def _past(self) -> tuple[History, float]:
        """Rank 0 reads what there is, and all ranks get the part that is worth remembering."""
        config, search = self.config, self.config.search

        def read() -> tuple[History, float]:
            run_dir, objectives = Path(config.run_dir), search.objectives
            others = warm_records(search.warm_start, self.space, objectives, config.source)
            if not config.checkpoint.resume or not is_run(RunLayout(run_dir)):
                return History(tuple(others)), 0.0
            check_same_space(run_dir, self.space, objectives, config.source)
            needs = settings_of(config, self.space, History(), inf).make_propagator().needs
            return history_of(
                run_dir, self.space, objectives, needs, others, search.duplicates == "average"
            )

        past = together(self.world, lambda: read() if self.world.rank == 0 else None)
        shared: tuple[History, float] = self.world.share(past)
        return shared

    def _facts(self) -> dict[str, Any]:
        search = self.config.search
        return {
            "space": self.space.describe(),
            "num_objectives": search.objectives,
            "objective": search.objective,
            "propagator": search.propagator,
        }

    def _at_pause(self) -> None:
        self.store.fold_if_due()
        if self.progress.due and self.loop.driver is not None:
            desk = self.loop.driver.state.desk
            if desk is not None:
                text = _progress_text(desk.tally, self.settings, self.clock.now_s())
                limits, spent = self.limits, desk.tally.spent
                energy = live_text(self.meter.now(), spent, limits.limit, limits.shown_unit)
                self.progress.update(desk.tally.ended, f"{text}  {energy}".strip())

    def _result(self) -> SearchResult:
        """Collective. The best of all workers."""
        driver = self.loop.driver
        elites: Sequence[Record] = ()
        reason, tally = "", None
        if driver is not None:
            elites = driver.state.knowledge.best
            reason = driver.state.stopping or ""
            if driver.state.me == 0 and driver.state.desk is not None:
                tally = driver.state.desk.tally
                reason = driver.state.desk.closed or reason
        several = self.config.search.objectives > 1
        mine = list(elites) if several else list(elites[:1])
        everyone = self.world.gather((mine, tally, reason))
        known = {record.number: record for some, _, _ in everyone for record in some}
        front = pareto_front(list(known.values())) if several else sorted(known.values())[:1]
        total: Tally = everyone[0][1]
        reason = next((said for _, _, said in everyone if said), "")
        return SearchResult(
            tuple(Found(self.space.decode(r.genome), r.losses, r.number) for r in front),
            total.finished, total.failed, total.stopped, total.cancelled, total.reused,
            total.cost, self.clock.now_s(), reason, Path(self.config.run_dir),
        )  # fmt: skip

    def _note_abort(self, text: str) -> None:
        self.meter.close()
        self.notebook.note("event", {"kind": "abort", "text": text[-2000:]})
        self.store.flush()


def _check_same(first: Mapping[str, Any], space: Space, config: RunConfig) -> None:
    """A script may make another space on every rank, by accident."""
    mine = space.describe()
    for name in {**first, **mine}:
        if first.get(name) != mine.get(name):
            raise ConfigError(
                f"{config.source}: search.space.{name}: is {mine.get(name)} on one rank and "
                f"{first.get(name)} on the first; make the same space on all ranks"
            )


def _progress_text(tally: Tally, settings: SearchSettings, now_s: float) -> str:
    parts = []
    if tally.best_number >= 0 or tally.best_loss < inf:
        parts.append(f"best {tally.best_loss:.6g}")
    for count, word in (
        (tally.failed, "failed"),
        (tally.stopped, "stopped early"),
        (tally.reused, "reused"),
    ):
        if count:
            parts.append(f"{count:,} {word}")
    if tally.cost:
        of = f" of {settings.stop.cost:g}" if settings.stop.cost is not None else ""
        parts.append(f"cost {tally.cost:.4g}{of}")
    left_s = settings.deadline_s - now_s
    if left_s < inf:
        parts.append(f"ends in {seconds_text(max(0.0, left_s))}")
    return "  ".join(parts)
