"""A user's own script as a run: `init`, `prepare`, `report`. The loop stays the script's."""

from __future__ import annotations

import atexit
import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

import torch

from hpctrain.adapters.perun_script import when_script_ends
from hpctrain.compose.belongings import Belongings
from hpctrain.compose.clock import RunClock
from hpctrain.compose.energy_limits import energy_limits, gate_of, is_recorded
from hpctrain.compose.gpus import own_gpus, tell_of_sharing
from hpctrain.compose.island_run import (
    IslandRun,
    checkpoint_to_resume,
    pick_device,
    set_threads,
)
from hpctrain.compose.metering import energy_used, start_metering
from hpctrain.compose.outcome import save_outcome, summarise
from hpctrain.compose.recordings import journal_for
from hpctrain.compose.start import (
    connect,
    make_topology,
    on_signals,
    or_exit,
    seconds_left,
    together,
)
from hpctrain.compose.stores import TimedNotebook, open_store
from hpctrain.compose.torch_group import init_worker_group, leave_worker_group
from hpctrain.config import config_from_keywords
from hpctrain.errors import ConfigError, HpctrainError
from hpctrain.report.console import seen_by
from hpctrain.report.energy_line import live_text
from hpctrain.report.progress import ProgressDisplay
from hpctrain.report.summary import print_summary
from hpctrain.workers.replica import Replica
from hpctrain.workers.session import RunStopped
from hpctrain.workers.shards import averages_by_itself, check_wrapping

if TYPE_CHECKING:
    from hpctrain.config import RunConfig
    from hpctrain.metering.live import EnergyNow

STEPS_TO_TIME = 20


def init(**settings: Any) -> Run:
    """Begin a run; see `hpctrain.init`."""
    script = Path(sys.argv[0]).stem if sys.argv else ""
    if "name" not in settings and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", script):
        settings["name"] = script
    config = or_exit(lambda: _of_a_script(config_from_keywords(**settings)))
    return or_exit(lambda: Run(config))


class Run:
    """A training run of the user's script, on this rank.

    Attributes:
        rank, num_ranks: this process among all.
        worker, num_workers: the model replica that this rank belongs to.
        island, island_name: where it belongs.
        device: the device of this rank, such as `cuda:2` or `cpu`.
    """

    def __init__(self, config: RunConfig) -> None:
        world, launcher = connect()
        topology = together(world, lambda: make_topology(config, world))
        set_threads(config)
        self.device: str = together(world, lambda: pick_device(config, world))
        tell_of_sharing(self.device, world)
        resumed = together(world, lambda: checkpoint_to_resume(config, world, topology))
        me = topology.worker_of(world.rank)
        self.rank, self.num_ranks = world.rank, world.size
        self.worker, self.num_workers = me.id, len(topology.workers)
        self.island, self.island_name = me.island, topology.island_name(me.id)
        self.config = config
        self._world, self._topology, self._launcher = world, topology, launcher
        self._resumed = resumed
        self._clock = RunClock(resumed.meta["time_s"] if resumed else 0.0)
        at_s = resumed.meta["time_s"] if resumed else None
        script = sys.argv[0] if sys.argv else ""
        self._limits = energy_limits(config, world)
        self._store = open_store(config, world, topology, at_s, script=script)
        self._notebook = TimedNotebook(self._store, self._clock, me.id, me.island)
        run_id = self._store.identity["run_id"]
        gpus = own_gpus(self.device, os.environ)
        self._meter = start_metering(config, world, run_id, self._notebook, self._clock, gpus)
        world.before_abort = self._note_abort
        self._run: IslandRun | None = None
        shard = (world.rank, world.size) if config.topology.data == "shard" else (0, 1)
        self._own = Belongings(shard, config.seed, self._count, self._between_batches)
        self._began_s, self._began_steps = perf_counter(), 0
        self._failed = self._closed = self._made_group = False
        self._progress = ProgressDisplay(
            config.progress.show if world.rank == 0 else "none",
            config.stop.steps,
            seen_by(launcher.terminal, launcher.is_rank),
        )
        self._watch_for_errors()
        self._perun_ends_it = when_script_ends(self._at_exit)
        atexit.register(self._at_last)

    @property
    def should_stop(self) -> bool:
        """Has the run ended (budget spent, or time up)? Scripts may leave their loop then."""
        return self._run is not None and self._run.session.ended

    def prepare(
        self, model: torch.nn.Module, optimizer: torch.optim.Optimizer, *others: Any
    ) -> Any:
        """Make `model` and `optimizer` part of the run; returns all arguments in the same order.

        Args:
            model: on its device already (`run.device`). May be wrapped in DDP, or sharded by FSDP2,
                over the ranks of this worker; hpctrain then leaves the gradients to it.
            optimizer: any torch optimizer; its `step` becomes the place where islands exchange.
            others: DataLoaders, which come back dealt out to the ranks (`data = "own"`: as they
                are); and anything with `state_dict` and `load_state_dict` (schedulers, GradScaler),
                which becomes part of the checkpoints.

        Raises:
            HpctrainError: if it was called before, or the model has nothing to train, or is wrapped
                over other ranks than those of this worker.
        """
        if self._run is not None:
            raise HpctrainError("run.prepare() was called twice; a run trains one model")
        check_wrapping(model, len(self._topology.workers[self.worker].ranks))
        prepared = [self._own.add(item) for item in others]
        self._own.stateful.insert(0, optimizer)
        journal = journal_for(self.config, self.worker) if self._leads else None
        left_s = seconds_left(self._launcher, self.config.checkpoint.margin_s)
        self._run = IslandRun(
            self.config, self._world, self._topology, self._notebook, self._clock,
            Replica(model, self.config.method.buffers == "average"),
            own_state=self._own.state_dict,
            load_own_state=self._own.load_state_dict,
            run_dir=self.config.run_dir,
            journal=journal,
            deadline_s=None if left_s is None else self._clock.now_s() + left_s,
            resumed=self._resumed,
            apply_owed_gradient=optimizer.step,
            average_gradients=not averages_by_itself(model),
            energy_budget=self._limits.budget,
            gate=gate_of(self.config, self._limits.terms, self._world, self._clock),
            spent=self._meter.count_in(
                self._limits.unit, self._limits.terms, is_recorded(self.config)
            ),
        )  # fmt: skip
        self._own.caught_up = self._run.restore_generators
        session = self._run.session
        session.attach(optimizer)
        session.pauses_later = bool(self._own.loaders)
        session.on_round = lambda order: self._meter.round_begins(order.round)
        on_signals(self.config.checkpoint.signals, session.request_stop)
        self._run.start(restored=lambda: self._meter.follow(session.phases.until_now_ns))
        self._began_s, self._began_steps = perf_counter(), session.steps_done
        session.on_pause = self._at_pause
        return (model, optimizer, *prepared)

    def init_process_group(self, backend: str | None = None) -> None:
        """Set up `torch.distributed` over the ranks of this worker: for DDP, FSDP2, and on GPUs.

        All ranks of the run call it, after `ht.init` and before the model is wrapped.

        Args:
            backend: of `torch.distributed`; None: `nccl` on GPUs, else `gloo`.

        Raises:
            HpctrainError: if there is a process group already.
        """
        chosen = backend or ("nccl" if self.device.startswith("cuda") else "gloo")
        init_worker_group(self._world, self._topology, chosen)
        self._made_group = True

    @property
    def energy(self) -> EnergyNow | None:
        """Energy to date: of this rank, its host, and what that has cost. None without sensors."""
        return self._meter.now()

    def report(self, **values: float | str) -> None:
        """Write values of the script into the run store: `run.report(epoch=3, val_loss=2.1)`.

        Raises:
            TypeError: for a value that is neither a number nor a text.
        """
        if self._own.catching_up:
            return  # this was reported before the run was interrupted
        step = self._run.session.steps_done if self._run is not None else 0
        for name, value in values.items():
            if isinstance(value, str):
                self._notebook.note("report_text", {"step": step, "name": name, "text": value})
            else:
                self._notebook.note(
                    "report", {"step": step, "name": name, "value": _number(name, value)}
                )

    def finish(self) -> None:
        """Leave the run in good order: the model then holds what all islands have merged.

        Called by itself when the script ends. Call it yourself to evaluate or save the merged
        model.
        """
        if self._closed or self._failed:
            return
        if self._run is None:
            self._close("finish", "nothing was prepared")
            return
        try:
            self._run.finish()
        except RunStopped as stopped:
            self._stop(stopped)
            raise
        if self._run.session.stray_steps and self.rank == 0:
            print(
                f"hpctrain: {self._run.session.stray_steps} steps after the end of the run are not "
                "part of it; a script can leave its loop when run.should_stop is true",
                file=sys.stderr,
            )
        seconds = self._clock.now_s()
        save_outcome(self._run, self._notebook)
        self._run.save_the_end()
        summary = summarise(self._run, 1.0, {}, seconds, Path(self.config.run_dir))
        summary = replace(summary, energy=energy_used(self._meter, self._world)[0])
        self._close("finish", "the script has ended")
        if self.rank == 0 and self.config.progress.show != "none":
            print_summary(summary, seen_by(self._launcher.terminal, self._launcher.is_rank))

    @property
    def _leads(self) -> bool:
        return self._topology.workers[self.worker].ranks[0] == self.rank

    def _count(self, samples: int) -> None:
        if self._run is not None:
            self._run.session.count(samples)

    def _between_batches(self) -> None:
        if self._run is not None:
            self._run.session.pause_if_due()

    def _at_pause(self) -> None:
        assert self._run is not None
        session = self._run.session
        self._store.fold_if_due()
        self._meter.poll()
        taken = session.steps_done - self._began_steps
        if taken == STEPS_TO_TIME:
            self._run.maybe_serve((perf_counter() - self._began_s) / taken)
        if self._progress.due:
            known = max(session.round.state.global_steps, session.steps_done)
            rate = taken / max(perf_counter() - self._began_s, 1e-9)
            driver, limits = session.driver, self._limits
            spent = 0.0 if driver is None else driver.state.learner.spent
            text = live_text(self._meter.now(), spent, limits.limit, limits.shown_unit)
            self._progress.update(known, f"{rate:.1f}/s here  {text}".rstrip())

    def _watch_for_errors(self) -> None:
        """A script that fails must not be taken for one that ends."""
        before = sys.excepthook

        def hook(
            kind: type[BaseException], error: BaseException, trace: TracebackType | None
        ) -> None:
            self._failed = True
            self._progress.close()
            before(kind, error, trace)

        sys.excepthook = hook

    def _at_last(self) -> None:
        """The interpreter ends. A script that perun runs has ended before, unless it failed."""
        if self._perun_ends_it and not self._closed:
            self._failed = True
            if self.num_ranks > 1:
                self._world.abort(RuntimeError("the script failed; perun has said why"))
        self._at_exit()
        if not self._failed:
            leave_worker_group(ours=self._made_group)

    def _at_exit(self) -> None:
        if self._run is not None and self._run.session.stopped is not None:
            self._stop(self._run.session.stopped)
            return
        if self._failed:
            self._close("abort", "the script failed")
            return
        try:
            self.finish()
        except RunStopped:
            return
        except BaseException as error:
            self._world.abort(error)

    def _stop(self, stopped: RunStopped) -> None:
        assert self._run is not None
        if self._closed:
            return
        failed = self._run.save_failure
        self._meter.await_last_look()
        self._close("stop", stopped.reason)
        if self.rank == 0:
            text = failed or f"saved in {self.config.run_dir}; go on with resume=True"
            print(f"stopped ({stopped.reason}): {text}", flush=True)

    def _close(self, kind: Literal["finish", "stop", "abort"], text: str) -> None:
        self._closed = True
        self._progress.close()
        self._meter.close()
        self._notebook.note("event", {"kind": kind, "text": text})
        self._notebook.write_kept()
        self._store.close()
        if self._run is not None:
            self._run.close()

    def _note_abort(self, text: str) -> None:
        self._meter.close()
        self._notebook.note("event", {"kind": "abort", "text": text[-2000:]})
        self._store.flush()


def _of_a_script(config: RunConfig) -> RunConfig:
    """Refuse settings that only mean something where hpctrain owns the loop."""
    unused = [f"{name}" for name in ("task", "pace", "evaluate", "simulate")
              if name in config.model_fields_set]  # fmt: skip
    unused += [
        f"runtime.{name}" for name in ("amp", "follow") if name in config.runtime.model_fields_set
    ]
    if config.method.domains != "bound":
        unused.append("method.domains")
    if unused:
        raise ConfigError(
            "\n".join(
                f"{config.source}: {key}: has no meaning in a script, whose loop is its own; leave "
                "it out, or use `hpctrain train`"
                for key in unused
            )
        )
    return config


def _number(name: str, value: Any) -> float:
    item = value.item() if hasattr(value, "item") else value
    try:
        return float(item)
    except (TypeError, ValueError):
        raise TypeError(
            f"run.report({name}=...) got {type(value).__name__}; give a number or a text"
        ) from None
