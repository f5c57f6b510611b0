"""What a study has computed: one line of JSON for each run, written when it ends, never again.

A run is known by a hash of all of its settings, of the version of hpctrain and of the text it
trains on, if that is the user's: a study that was interrupted, or whose file has grown, computes
only what is not there.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import Any

from hpctrain import __version__
from hpctrain.errors import RunStoreError
from hpctrain.storage.files import cannot_write

FILE, LOCK = "results.jsonl", ".lock"


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """No second study writes there meanwhile. A lock ends with its process, whatever ends that.

    Raises:
        RunStoreError: if one does already, or the folder cannot be made.
    """
    _make(folder)
    try:
        lock = (folder / LOCK).open("a")
    except OSError as error:
        raise cannot_write(folder / LOCK, error) from error
    with lock as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunStoreError(
                f"{folder} is in use by another hpctrain compare; wait for its end, or give another"
                " run_dir"
            ) from None
        except OSError:  # a file system without locks
            pass
        yield


def key_of(settings: Mapping[str, Any]) -> str:
    """The same for the same run."""
    options = settings.get("task", {}).get("options", {})
    folder = options.get("folder") if isinstance(options, Mapping) else None
    origin = [__version__, _digest(Path(folder)) if isinstance(folder, str) else ""]
    text = json.dumps([settings, origin], sort_keys=True, ensure_ascii=False)
    return blake2b(text.encode(), digest_size=12).hexdigest()


@cache
def _digest(folder: Path) -> str:
    """Of all files of a folder of text."""
    found = blake2b(digest_size=12)
    for path in sorted(folder.glob("*.txt")):
        found.update(path.name.encode() + b"\0" + blake2b(path.read_bytes()).digest())
    return found.hexdigest()


class Results:
    """The file of one study; may be used by several threads."""

    def __init__(self, folder: Path, only_read: bool = False) -> None:
        self._only_read = only_read  # somebody else may be writing
        self._path = folder / FILE
        self._lock = Lock()
        self._known: dict[str, dict[str, Any]] = {}
        if not only_read:
            _make(folder)
        if self._path.exists():
            self._read()

    def get(self, key: str) -> dict[str, Any] | None:
        """The outcome of a run that has been made; a failure is tried again."""
        found = self._known.get(key)
        return None if found is None or "error" in found else found

    def put(self, key: str, about: Mapping[str, Any], outcome: Mapping[str, Any]) -> None:
        """Keep it; on the disk when this returns.

        Raises:
            RunStoreError: if it cannot be written.
        """
        row = {"key": key, **about, **outcome}
        line = (json.dumps(row, allow_nan=False, ensure_ascii=False) + "\n").encode()
        with self._lock:
            try:
                with self._path.open("ab") as file:
                    file.write(line)
                    file.flush()
                    os.fsync(file.fileno())
            except OSError as error:
                raise cannot_write(self._path, error) from error
            self._known[key] = row

    def _read(self) -> None:
        data = self._path.read_bytes()
        whole, newline, _torn = data.rpartition(b"\n")  # a kill may tear the last line
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                row = json.loads(line)
                self._known[row["key"]] = row
            except (ValueError, KeyError, TypeError):
                raise RunStoreError(
                    f"{self._path}: line {number} is damaged; without it the run is made again"
                ) from None
        if len(whole) + len(newline) < len(data) and not self._only_read:
            os.truncate(self._path, len(whole) + len(newline))


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
