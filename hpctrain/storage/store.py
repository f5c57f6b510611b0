"""What the rest of the program writes a run with: one `RunStore` per rank."""

import json
import logging
import math
import os
import platform
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from hpctrain.errors import RunStoreError
from hpctrain.storage import provenance, runs
from hpctrain.storage.columns import tables_of
from hpctrain.storage.files import remove_leftovers
from hpctrain.storage.fold import fold_rank, update_index
from hpctrain.storage.layout import RunLayout
from hpctrain.storage.log import RankLog
from hpctrain.storage.log_reader import read_log
from hpctrain.storage.records import Value

FIRST_FOLD_S = 10.0
FOLD_COST_FACTOR = 200.0  # after a fold of 1 s the next is 200 s away: at most about 1 % of the run
LONGEST_FOLD_S = 2.0  # peers wait for a rank that folds: after such a fold the next is at the end

logger = logging.getLogger(__name__)


class RunStore:
    """Takes down what one rank has to say about a run.

    Attributes:
        layout: the paths of the run.
        rank: whose log this is.
        identity: what `run.json` says.
        resumed: whether this rank goes on with a log of an earlier start.
    """

    def __init__(
        self,
        layout: RunLayout,
        rank: int,
        identity: dict[str, Any],
        log: RankLog,
        resumed: bool,
        start_s: float,
        clock: Callable[[], float],
    ) -> None:
        self.layout = layout
        self.rank = rank
        self.identity = identity
        self.resumed = resumed
        self._log = log
        self._clock = clock
        self._zero_s = clock() - start_s  # the clock's reading at the start of the run
        self._fold_due_s = clock() + FIRST_FOLD_S
        self._closed = False

    @classmethod
    def open_for_writing(
        cls,
        run_dir: Path | str,
        rank: int,
        header: Mapping[str, Any],
        resume: bool = False,
        *,
        identity: dict[str, Any] | None = None,
        durable: bool = True,
        resume_at_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> Self:
        """Start or resume a run, from every rank; rank 0 is the one that writes `run.json`.

        Args:
            run_dir: the run's directory; made if it is not there.
            rank: this process, 0 .. 99999.
            header: what distinguishes this rank: worker, island, host, ...; may nest.
            resume: go on with the run that the directory holds. If it holds none, one is
                started: so a chain of jobs can be submitted with the same settings.
            identity: from `provenance.identity`, made on one rank and sent to all of them. Only
                a run of one rank may leave it out.
            durable: every row survives a kill of this process; else up to 1 s of rows is lost.
            resume_at_s: where `now_s` goes on if there is a log to resume, for example the time
                of the checkpoint; None to count the pause.
            clock: monotonic seconds, of any zero.

        Raises:
            RunStoreError: if the directory holds a run and `resume` is false, another process
                writes the same log, or the disk does not let us.
        """
        layout = RunLayout(Path(run_dir))
        known = _claimed(layout, rank, resume, identity)
        path = layout.log(rank)
        resumed = path.exists()
        if resumed and not resume:
            raise runs.holds_a_run(layout)
        runs.make_directories(layout)
        if resumed:
            log = RankLog.reopen(path, durable=durable)
            remove_leftovers(layout.rank_file(rank))
        else:
            log = RankLog.create(path, header, durable=durable)
        start_s = _since_start_s(known)
        if resumed:
            start_s = max(start_s, _last_time_s(path)) if resume_at_s is None else resume_at_s
        store = cls(layout, rank, known, log, resumed, start_s, clock)
        store._note_start(header)
        return store

    @property
    def run_dir(self) -> Path:
        return self.layout.run_dir

    def now_s(self) -> float:
        """Seconds since the start of the run: monotonic within this process.

        Pauses between the parts of a resumed run count, unless `resume_at_s` was given. Ranks
        agree as well as the wall clocks of their hosts did when they opened the store.
        """
        return self._clock() - self._zero_s

    def note(self, kind: str, fields: Mapping[str, Value]) -> None:
        """Add a row; `time_s` is filled in if `fields` does not give it.

        Raises:
            RunStoreError, TypeError, ValueError: as `RankLog.append`.
        """
        if "time_s" not in fields:
            fields = {"time_s": self.now_s(), **fields}
        self._log.append(kind, fields)

    def fold_if_due(self) -> bool:
        """Bring this rank's HDF5 file up to date, seldom enough to cost under 1 % of the time.

        Call it often: it is a comparison of two numbers when nothing is due. A fold that fails is
        a warning only, since the log holds everything. When folds get long, they stop until
        `close`: whoever reads the run with `open_run` meanwhile folds it himself.
        """
        self._log.flush_if_due()
        began_s = self._clock()
        if began_s < self._fold_due_s:
            return False
        self._fold()
        ended_s = self._clock()
        took_s = ended_s - began_s
        pause_s = max(FIRST_FOLD_S, FOLD_COST_FACTOR * took_s)
        self._fold_due_s = math.inf if took_s > LONGEST_FOLD_S else ended_s + pause_s
        return True

    def flush(self) -> None:
        """Hand all rows to the operating system."""
        self._log.flush()

    def sync(self) -> None:
        """Make all rows survive a power cut; costs a disk access, for example at a checkpoint."""
        self._log.sync()

    def close(self) -> None:
        """Write what is left, fold a last time. Harmless the second time."""
        if self._closed:
            return
        self._closed = True
        try:
            self._log.sync()
        finally:
            self._log.close()
        self._fold()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _note_start(self, header: Mapping[str, Any]) -> None:
        """Say where this part of the run is: a resumed run may be on another host and versions."""
        here = {"host": platform.node(), "versions": provenance.versions(), **header}
        job = provenance.batch_job(os.environ)
        here |= {"job": job} if job else {}
        kind = "resume" if self.resumed else "start"
        text = json.dumps(here, sort_keys=True, default=str)
        self.note("event", {"worker": header.get("worker"), "kind": kind, "text": text})

    def _fold(self) -> None:
        try:
            self._log.flush()
            fold_rank(self.layout, self.rank)
            update_index(self.layout, self.identity)
        except RunStoreError as error:
            logger.warning("rank %d: no fold now, its log has all rows: %s", self.rank, error)


def _claimed(
    layout: RunLayout, rank: int, resume: bool, identity: dict[str, Any] | None
) -> dict[str, Any]:
    """The identity of the run in the directory, after rank 0 has put it there.

    Other ranks may come before rank 0, or not see its file yet on a network file system: they
    then believe the identity that they were given.
    """
    if runs.is_run(layout):
        found = runs.read_identity(layout)
        same = identity is not None and found.get("run_id") == identity.get("run_id")
        if not resume and (rank == 0 or not same):
            raise runs.holds_a_run(layout)
        return found
    if rank == 0:
        runs.start_run(layout, identity or provenance.identity("", {}, None))
        return runs.read_identity(layout)
    if identity is None:
        raise RunStoreError(
            f"rank {rank} opens {layout.run_dir}, which holds no run yet; give every rank the "
            "identity that rank 0 made"
        )
    return identity


def _since_start_s(identity: dict[str, Any]) -> float:
    started = datetime.fromisoformat(identity["start_time_utc"])
    return max(0.0, (provenance.utc_now() - started).total_seconds())


def _last_time_s(path: Path) -> float:
    """The latest `time_s` in a log: a resumed run never goes back in time, whatever clocks say."""
    latest_s = 0.0
    for table in tables_of(read_log(path).records).values():
        times_s = table.get("time_s")
        if times_s is not None and times_s.dtype == np.float64 and not np.isnan(times_s).all():
            latest_s = max(latest_s, float(np.nanmax(times_s)))
    return latest_s
