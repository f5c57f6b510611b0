"""Runs a study: tunes every method on every place with as many trials, then runs all seeds.

Runs are spread over processes. What is tuned depends on nothing but the study: an interrupted one
goes on with the same candidates.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from threading import Lock, Thread
from typing import Any

import hpctrain as ht
from hpctrain.compose.studies.one_run import Outcome, run_once
from hpctrain.compose.studies.results import Results, key_of
from hpctrain.config.study import Cell, Study, Where, cells_of, made_as, range_of, settings_of
from hpctrain.errors import HpctrainError
from hpctrain.report.studies.records import StudyRecords, Tuned


@dataclass
class Comparison:
    """One study, on this machine.

    Attributes:
        study: what is compared.
        jobs: processes.
        seen: told of each run that has ended: done, of how many, and what it was.
        only_read: do not touch the results: another process may be writing them.
        failed_trials: what went wrong in tuning.
    """

    study: Study
    jobs: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))
    seen: Callable[[int, int, str], None] = lambda done, total, what: None
    only_read: bool = False

    def __post_init__(self) -> None:
        self.results = Results(Path(self.study.run_dir), self.only_read)
        self.failed_trials: list[str] = []
        self._done = 0
        self._lock = Lock()

    def run(self) -> StudyRecords:
        """All of it; what is there already is not computed again.

        Raises:
            HpctrainError: if results cannot be written, or a process was killed.
        """
        cells = self._own(cells_of(self.study))
        with ThreadPoolExecutor(self.jobs) as tuners, _workers(self.jobs) as pool:
            made = list(tuners.map(lambda cell: self._make(pool, cell), cells))
            by_cell = {
                cell: (tuned, [run.result() for run in runs])
                for cell, (tuned, runs) in zip(cells, made, strict=True)
            }
        return _records(self.study, by_cell)

    def finished(self) -> StudyRecords | None:
        """What is there, of the places that are there as a whole; nothing is run."""
        by_cell = {}
        for cell in self._own(cells_of(self.study)):
            with suppress(_NotThereError):
                tuned, runs = self._make(None, cell)
                by_cell[cell] = tuned, [run.result() for run in runs]
        cells = cells_of(self.study)
        missing = {cell.place for cell in cells if made_as(self.study, cell) not in by_cell}
        if missing == {cell.place for cell in cells}:
            return None
        rest = (Where(profiles=(p,), data=(d,), budgets=(b,)) for p, d, b in sorted(missing))
        left_out = (*self.study.leave_out, *rest)
        return _records(self.study.model_copy(update={"leave_out": left_out}), by_cell)

    def _own(self, cells: Sequence[Cell]) -> list[Cell]:
        """Those with runs of their own."""
        return [cell for cell in cells if made_as(self.study, cell) == cell]

    def _make(
        self, pool: ProcessPoolExecutor | None, cell: Cell
    ) -> tuple[Tuned, list[Future[Outcome]]]:
        """Tune; then the runs of the table begin, while the next cell is tuned."""
        tuned = self._tune(pool, cell)
        return tuned, [
            self._start(pool, cell, seed, tuned.value, "run") for seed in self.study.seeds
        ]

    @property
    def _total(self) -> int:
        study = self.study
        trials = study.tune.trials * len(study.tune.seeds)
        return sum(
            len(study.seeds) + (trials if range_of(study, cell.method) else 0)
            for cell in self._own(cells_of(study))
        )

    def _tune(self, pool: ProcessPoolExecutor | None, cell: Cell) -> Tuned:
        """Sequential trials: where the next is made depends on what came of the last."""
        limits = range_of(self.study, cell.method)
        if limits is None:
            return Tuned(None, ())
        first = evenly(limits, min(self.study.tune.trials, max(3, self.study.tune.trials // 2)))
        trials: list[tuple[float, float]] = []
        with tempfile.TemporaryDirectory(prefix="hpctrain-tune-") as folder:
            asked = self.study.tune
            search = ht.Search(
                {"value": ht.Float(*limits, log=True)},
                run_dir=f"{folder}/search", stop={"evaluations": asked.trials}, seed=0,
                propagator="gaussian", options={"num_initial": len(first)}, progress="none",
                initial=[{"value": value} for value in first],
            )  # fmt: skip
            while (candidate := search.ask()) is not None:
                value = float(f"{candidate['value']:.4g}")
                loss = self._mean_loss(pool, cell, value)
                trials.append((value, loss))
                if math.isfinite(loss):
                    search.tell(candidate, loss)
                else:
                    search.fail(candidate, "it diverged")
            search.close()
        finite = [trial for trial in trials if math.isfinite(trial[1])]
        best = min(finite or trials, key=lambda trial: trial[1])
        return Tuned(best[0], tuple(trials))

    def _mean_loss(self, pool: ProcessPoolExecutor | None, cell: Cell, value: float) -> float:
        runs = [self._start(pool, cell, seed, value, "trial") for seed in self.study.tune.seeds]
        outcomes = [run.result() for run in runs]
        self.failed_trials.extend(failures_of(outcomes))
        losses = [outcome.get("loss") for outcome in outcomes]
        finite = [loss for loss in losses if loss is not None]
        return fmean(finite) if len(finite) == len(losses) else math.inf

    def _start(
        self,
        pool: ProcessPoolExecutor | None,
        cell: Cell,
        seed: int,
        value: float | None,
        what: str,
    ) -> Future[Outcome]:
        settings = settings_of(self.study, cell, seed, value)
        key = key_of(settings)
        known = self.results.get(key)
        future: Future[Outcome] = Future()
        name = f"{cell.method} on {cell.profile} {cell.data} {cell.budget}, seed {seed}"
        if known is not None:
            self._tell(name)
            future.set_result(known)
            return future
        if pool is None:
            raise _NotThereError
        about = {"what": what, "profile": cell.profile, "data": cell.data, "budget": cell.budget,
                 "method": cell.method, "seed": seed, "value": value}  # fmt: skip

        def ended(run: Future[Outcome]) -> None:
            try:
                outcome = run.result()
                self.results.put(key, about, outcome)
            except BaseException as error:
                future.set_exception(error)
                return
            self._tell(name)
            future.set_result(outcome)

        pool.submit(run_once, settings).add_done_callback(ended)
        return future

    def _tell(self, name: str) -> None:
        with self._lock:
            self._done += 1
            self.seen(self._done, self._total, name)


class _NotThereError(Exception):
    """A run has not been made, and is not to be."""


def _records(study: Study, by_cell: Mapping[Cell, tuple[Tuned, Sequence[Outcome]]]) -> StudyRecords:
    tuned, outcomes = {}, {}
    for cell in cells_of(study):
        tuned[cell], runs = by_cell[made_as(study, cell)]
        for seed, outcome in zip(study.seeds, runs, strict=True):
            outcomes[cell, seed] = outcome
    return StudyRecords(study, tuned, outcomes)


def evenly(limits: tuple[float, float], count: int) -> list[float]:
    """The middles of `count` parts of a range that are alike in the logarithm."""
    low, high = limits
    return [low * (high / low) ** ((part + 0.5) / count) for part in range(count)]


@contextmanager
def _workers(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Fresh processes: what this one has loaded stays out of them.

    They end in the middle of a run if something goes wrong here, or Ctrl-C is pressed: the runs
    that wait for them are hours.
    """
    context = multiprocessing.get_context("spawn")
    others = multiprocessing.active_children()
    with (
        tempfile.TemporaryDirectory(prefix="hpctrain-study-", ignore_cleanup_errors=True) as folder,
        ProcessPoolExecutor(jobs, context, initializer=_begin, initargs=(folder,)) as pool,
    ):
        try:
            yield pool
        except BaseException as error:
            for process in multiprocessing.active_children():
                if process not in others:
                    process.terminate()
            if isinstance(error, BrokenExecutor):
                raise HpctrainError(
                    "a process of the study was killed, as happens where memory is short; what is "
                    "computed is kept: start the command again, perhaps with fewer --jobs"
                ) from None
            raise


def _begin(folder: str) -> None:
    """In a worker process: what it writes goes below `folder`, and it ends with the first process.

    Ctrl-C goes to the whole group: it is the first process that stops the others.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tempfile.tempdir = folder
    Thread(target=_end_with_the_first, args=(folder,), daemon=True).start()


def _end_with_the_first(folder: str) -> None:
    first = multiprocessing.parent_process()
    if first is not None:
        first.join()
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(1)


def failures_of(outcomes: Iterable[Mapping[str, Any]]) -> Sequence[str]:
    """What went wrong, each once."""
    return tuple(dict.fromkeys(str(o["error"]) for o in outcomes if "error" in o))
