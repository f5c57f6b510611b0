"""Files that are there whole or not at all: written beside, synced, renamed."""

import errno
import os
import re
from contextlib import suppress
from pathlib import Path

from hpctrain.errors import RunStoreError

OUT_OF_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
READABLE_BY_ALL = 0o666  # less the umask: colleagues read each other's runs, so no 0600 of mkstemp


def write_whole(path: Path, data: bytes) -> None:
    """Replace `path` by `data` such that a reader at any moment finds the old file or the new one.

    Raises:
        RunStoreError: if it cannot be written; the old file is then untouched.
    """
    beside = beside_name(path)
    try:
        _write_synced(beside, data)
        os.replace(beside, path)
        sync_directory(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with suppress(OSError):
            beside.unlink()


def write_first(path: Path, data: bytes) -> bool:
    """Like `write_whole`, but False and no change if `path` is there already."""
    beside = beside_name(path)
    try:
        _write_synced(beside, data)
        os.link(beside, path)  # unlike rename, fails if the name is taken
        sync_directory(path.parent)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}:
            raise cannot_write(path, error) from error
        return _write_first_without_links(path, data)  # some file systems have no hard links
    finally:
        with suppress(OSError):
            beside.unlink()
    return True


def beside_name(path: Path) -> Path:
    """A hidden name next to `path` that no other process uses."""
    return path.with_name(f".{path.name}.{os.uname().nodename}.{os.getpid()}.tmp")


def remove_leftovers(path: Path) -> None:
    """Delete what killed processes left beside `path`."""
    pattern = re.compile(re.escape(f".{path.name}.") + r".*\.tmp")
    for entry in path.parent.iterdir():
        if pattern.fullmatch(entry.name):
            with suppress(OSError):
                entry.unlink()


def sync_directory(path: Path) -> None:
    """Make renames in `path` survive a power cut."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def cannot_write(path: Path, error: OSError) -> RunStoreError:
    """The error for people: which file, why, and what to do about it."""
    if error.errno in OUT_OF_SPACE:
        way_out = "free some space (or raise the quota); what was written before is intact"
    elif error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        way_out = "choose a run_dir that you may write to"
    else:
        way_out = "what was written before is intact"
    return RunStoreError(f"cannot write {path}: {error.strerror or error}; {way_out}")


def _write_first_without_links(path: Path, data: bytes) -> bool:
    if path.exists():
        return False
    write_whole(path, data)
    return True


def _write_synced(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, READABLE_BY_ALL)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(fd, rest) :]
        os.fsync(fd)
    finally:
        os.close(fd)
