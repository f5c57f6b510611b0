"""Opening the run store on all ranks, and a notebook that survives a full disk."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpctrain.compose.clock import RunClock
from hpctrain.compose.start import together
from hpctrain.config import resolved_json
from hpctrain.core.topology import Topology
from hpctrain.errors import RunStoreError
from hpctrain.runtime.ports import World
from hpctrain.storage.provenance import identity
from hpctrain.storage.store import RunStore

if TYPE_CHECKING:
    from hpctrain.config import RunConfig

logger = logging.getLogger(__name__)

KEEP_ROWS = 100_000  # while the disk is full: some tens of megabytes


def open_store(
    config: RunConfig,
    world: World,
    topology: Topology,
    resume_at_s: float | None = None,
    **facts: Any,
) -> RunStore:
    """Collective. The store of this rank.

    Args:
        config: of the run.
        world: of the run.
        topology: of the run.
        resume_at_s: where the run's clock goes on, if it does.
        facts: more for `run.json`, such as `parameters`.

    Raises:
        RunStoreError: on all ranks, if the directory holds a run that is not to be resumed.
    """
    who = identity(config_text(config), json.loads(resolved_json(config)), config.seed)
    who |= {
        "islands": list(topology.island_names),
        "num_workers": len(topology.workers),
        "num_ranks": world.size,
    }
    if "torch" in sys.modules:  # a search may do without
        who["threads_per_rank"] = sys.modules["torch"].get_num_threads()
    who |= facts
    shared: dict[str, Any] = world.share(who)
    worker = topology.worker_of(world.rank)
    header = {
        "worker": worker.id,
        "island": worker.island,
        "island_name": topology.island_names[worker.island],
    }

    def opened() -> RunStore:
        return RunStore.open_for_writing(
            config.run_dir, world.rank, header, config.checkpoint.resume,
            identity=shared, resume_at_s=resume_at_s,
        )  # fmt: skip

    return together(world, opened)


def config_text(config: RunConfig) -> str:
    """The settings as the user wrote them, where they came from a file."""
    path = Path(config.source)
    try:
        return path.read_text(encoding="utf-8") if path.is_file() else ""
    except OSError:
        return ""


class TimedNotebook:
    """Adds the run's time, the worker and its island to every row, and loses none to a full disk.

    Rows that cannot be written are kept in memory, in order, and written as soon as the disk has
    room again. Several threads may note.
    """

    def __init__(self, store: RunStore, clock: RunClock, worker: int, island: int) -> None:
        self._store = store
        self._clock = clock
        self._worker = worker
        self._island = island
        self._lock = threading.RLock()
        self._kept: deque[tuple[str, dict[str, Any]]] = deque(maxlen=KEEP_ROWS)

    def note(self, kind: str, fields: Mapping[str, Any]) -> None:
        row = {"time_s": self._clock.now_s(), "worker": self._worker, **fields}
        if kind == "round":
            row["island"] = self._island
        with self._lock:
            self._kept.append((kind, row))
            try:
                self.write_kept()
            except RunStoreError as error:
                if len(self._kept) == 1:
                    logger.warning("rows are kept in memory until the disk takes them: %s", error)

    def write_kept(self) -> None:
        """Write the rows that are still in memory.

        Raises:
            RunStoreError: if the disk still does not let us.
        """
        with self._lock:
            while self._kept:
                self._store.note(*self._kept[0])
                self._kept.popleft()
