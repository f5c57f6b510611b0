"""Writing the append-only log of one rank: the truth about a run while it goes on.

A file is a magic line, a record with the header, and then one record per row. There is one writer,
which holds a lock on the file; any number of processes may read meanwhile.
"""

import errno
import fcntl
import os
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hpctrain.errors import RunStoreError
from hpctrain.storage.files import (
    READABLE_BY_ALL,
    beside_name,
    cannot_write,
    sync_directory,
)
from hpctrain.storage.log_reader import MAGIC, read_log
from hpctrain.storage.records import RecordPacker, Value, check_fields

LOCK_POLL_S = 0.05


class RankLog:
    """Appends records to the log of one rank. Safe for threads, but not for signal handlers.

    With `durable` a record is with the operating system when `append` returns: the process may be
    killed, only a power cut before `sync` can lose it. Otherwise records wait in memory for at
    most `flush_every_s`, provided that `append` or `flush_if_due` is called.
    """

    def __init__(
        self, path: Path, fd: int, end_bytes: int, *, durable: bool, flush_every_s: float
    ) -> None:
        self.path = path
        self._fd = fd
        self._end_bytes = end_bytes
        self._durable = durable
        self._flush_every_s = flush_every_s
        self._flushed_at_s = time.monotonic()
        self._waiting = bytearray()
        self._packer = RecordPacker()
        self._checked: set[tuple[str, ...]] = set()
        self._lock = threading.Lock()

    @classmethod
    def create(
        cls,
        path: Path,
        header: Mapping[str, Any],
        *,
        durable: bool = True,
        flush_every_s: float = 1.0,
    ) -> Self:
        """Begin a new log; `header` may nest dicts and lists.

        Raises:
            RunStoreError: if there is a file already, or none can be written.
        """
        path = Path(path)
        if path.exists():
            raise RunStoreError(f"{path} exists already; reopen it to append to it")
        first = MAGIC + RecordPacker().frame(dict(header))
        beside = beside_name(path)
        fd = -1
        try:
            fd = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_TRUNC, READABLE_BY_ALL)
            _lock(fd, path, wait_s=0.0)
            if os.write(fd, first) < len(first):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(fd)
            os.replace(beside, path)  # so nobody ever sees a log without its header
            sync_directory(path.parent)
        except OSError as error:
            if fd >= 0:
                os.close(fd)
            with suppress(OSError):
                beside.unlink()
            raise cannot_write(path, error) from error
        return cls(path, fd, len(first), durable=durable, flush_every_s=flush_every_s)

    @classmethod
    def reopen(
        cls,
        path: Path,
        *,
        durable: bool = True,
        flush_every_s: float = 1.0,
        lock_wait_s: float = 10.0,
    ) -> Self:
        """Go on with an existing log; a torn tail is cut off at the last good record.

        Args:
            path: the log.
            durable: see the class.
            flush_every_s: see the class.
            lock_wait_s: how long a dying predecessor may take to let go of the file. A killed
                script's data loading processes, which inherit the lock, live on for seconds.

        Raises:
            RunStoreError: if it is no log, or another process still writes it.
        """
        path = Path(path)
        try:
            fd = os.open(path, os.O_RDWR)
        except OSError as error:
            raise cannot_write(path, error) from error
        try:
            _lock(fd, path, wait_s=lock_wait_s)
            end_bytes = read_log(path).end_bytes
            os.ftruncate(fd, end_bytes)
        except OSError as error:
            os.close(fd)
            raise cannot_write(path, error) from error
        except RunStoreError:
            os.close(fd)
            raise
        return cls(path, fd, end_bytes, durable=durable, flush_every_s=flush_every_s)

    def append(self, kind: str, fields: Mapping[str, Value]) -> None:
        """Add one row.

        Raises:
            RunStoreError: if the disk is full or the log closed. A durable record is then not in
                the log; one that waits in memory is kept, and written as soon as there is space.
            TypeError: if a value is no number, text or numeric array; names kind and column.
            ValueError: if a name or a number cannot be stored; names it.
        """
        with self._lock:
            data = self._framed(kind, fields)
            if self._fd < 0:
                raise RunStoreError(f"{self.path} is closed, but a row of {kind!r} was appended")
            if self._durable:
                self._write(data)
                return
            self._waiting += data
            if time.monotonic() - self._flushed_at_s >= self._flush_every_s:
                self._flush()

    def flush(self) -> None:
        """Hand what waits in memory to the operating system."""
        with self._lock:
            self._flush()

    def flush_if_due(self) -> None:
        """`flush` if the last one is `flush_every_s` ago. Cheap."""
        if self._waiting and time.monotonic() - self._flushed_at_s >= self._flush_every_s:
            self.flush()

    def sync(self) -> None:
        """Flush, and return when the storage has it all: it then survives a power cut."""
        with self._lock:
            self._flush()
            try:
                os.fsync(self._fd)
            except OSError as error:
                raise cannot_write(self.path, error) from error

    def close(self) -> None:
        """Flush and let go of the file. Harmless the second time."""
        with self._lock:
            if self._fd < 0:
                return
            try:
                self._flush()
            finally:
                os.close(self._fd)
                self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _framed(self, kind: str, fields: Mapping[str, Value]) -> bytes:
        names = (kind, *fields)
        if names not in self._checked:  # rows of a kind mostly have the same columns
            check_fields(kind, fields)
            self._checked.add(names)
        try:
            return self._packer.frame((kind, dict(fields)))
        except TypeError as error:
            raise TypeError(_bad_field(kind, fields, error)) from None
        except ValueError as error:
            raise ValueError(_bad_field(kind, fields, error)) from None

    def _flush(self) -> None:
        if self._waiting:
            self._write(bytes(self._waiting))
            self._waiting.clear()
        self._flushed_at_s = time.monotonic()

    def _write(self, data: bytes) -> None:
        try:
            written = os.pwrite(self._fd, data, self._end_bytes)
            while written < len(data):  # a short write: the next one says why
                written += os.pwrite(self._fd, data[written:], self._end_bytes + written)
        except OSError as error:
            with suppress(OSError):  # if not even this works, the next write covers the remains
                os.ftruncate(self._fd, self._end_bytes)
            raise cannot_write(self.path, error) from error
        self._end_bytes += len(data)


def _lock(fd: int, path: Path, wait_s: float) -> None:
    """Take the writer's lock, which ends with the process. Without locks on this disk: go on."""
    deadline_s = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
                return  # some parallel file systems are mounted without locks
            if time.monotonic() >= deadline_s:
                raise RunStoreError(
                    f"another process still writes {path}; wait until it has ended, or end it"
                ) from None
            time.sleep(LOCK_POLL_S)
        else:
            return


def _bad_field(kind: str, fields: Mapping[str, Value], error: Exception) -> str:
    packer = RecordPacker()
    for name, value in fields.items():
        try:
            packer.frame(value)
        except (TypeError, ValueError) as at_fault:
            return f"{kind}.{name}: {at_fault}; a column holds numbers, texts or numeric arrays"
    return f"a record of kind {kind!r}: {error}"
