"""Recordings on disk: one append-only file per worker, beside the logs of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hpctrain.errors import RunStoreError
from hpctrain.runtime.codec import from_bytes, to_bytes
from hpctrain.runtime.recording import Entry, Journal, Score
from hpctrain.storage.log import RankLog
from hpctrain.storage.log_reader import read_log
from hpctrain.training.fragments import Fragment
from hpctrain.training.messages import Initial
from hpctrain.training.rules.rule import Array

if TYPE_CHECKING:
    from hpctrain.config import RunConfig

DIRECTORY = "recording"


class FileJournal:
    """Writes the entries of one worker."""

    def __init__(self, run_dir: Path, worker: int) -> None:
        path = _path(run_dir, worker)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._log = RankLog.create(path, {"worker": worker}, durable=False)

    def write(self, entry: Entry) -> None:
        self._log.append("entry", {"entry": np.frombuffer(to_bytes(entry), np.uint8)})

    def close(self) -> None:
        self._log.close()


def journal_for(config: RunConfig, worker: int) -> FileJournal | None:
    """Where this worker's events are recorded, if at all."""
    if config.runtime.record == "off":
        return None
    return FileJournal(Path(config.run_dir), worker)


def record_initial(
    journal: Journal | None, fragments: tuple[Fragment, ...], values: list[Array]
) -> None:
    """Begin a full recording with what the homes begin with."""
    if journal is not None:
        journal.write(Entry(0.0, 0, "Initial", event=Initial(fragments, values)))


def score_for(config: RunConfig, worker: int, num_workers: int) -> Score | None:
    """What this worker has to follow, if anything.

    Raises:
        RunStoreError: if there is no such recording, or it is of another number of workers.
    """
    if config.runtime.follow is None:
        return None
    run_dir = Path(config.runtime.follow)
    found = recorded_workers(run_dir)
    if found != num_workers:
        raise RunStoreError(
            f"{run_dir} holds a recording of {found} workers, but this run has {num_workers}; "
            "start as many"
        )
    entries = read_entries(run_dir, worker)
    return Score(entry for entry in entries if entry.kind != "Initial")


def recorded_workers(run_dir: Path) -> int:
    """How many workers were recorded.

    Raises:
        RunStoreError: if there is no recording.
    """
    count = len(list((run_dir / DIRECTORY).glob("worker-*.rec")))
    if not count:
        raise RunStoreError(
            f'{run_dir} holds no recording; run it with runtime.record = "order" (or "full")'
        )
    return count


def read_entries(run_dir: Path, worker: int) -> list[Entry]:
    """All entries of `worker`, in order."""
    entries: list[Entry] = []
    for record in read_log(_path(run_dir, worker)).records:
        blob = record.fields["entry"]
        assert isinstance(blob, np.ndarray)
        entries.append(from_bytes(blob.tobytes()))
    return entries


def _path(run_dir: Path, worker: int) -> Path:
    return run_dir / DIRECTORY / f"worker-{worker:05d}.rec"
