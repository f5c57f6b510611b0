"""One file of a checkpoint: hashed on the way to a temporary name, checked on reading."""

import hashlib
import importlib.util
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from hpctrain.errors import RunStoreError
from hpctrain.storage import tree as trees
from hpctrain.storage.files import READABLE_BY_ALL, beside_name, cannot_write, sync_directory

PART_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
CHUNK_BYTES = 1 << 22


@dataclass(frozen=True, slots=True)
class PartInfo:
    """What the manifest says about a part: small, so a rank can send it to the one that commits."""

    name: str
    bytes: int
    sha256: str


def part_path(directory: Path, name: str) -> Path:
    """Where a part lies.

    Raises:
        RunStoreError: if `name` cannot be the name of a file everywhere.
    """
    if not PART_NAME.fullmatch(name):
        raise RunStoreError(
            f"{name!r} cannot name a part of a checkpoint; use letters, digits, '_', '-' and '.'"
        )
    return directory / f"{name}.pt"


def save_part(directory: Path, name: str, tree: Any) -> PartInfo:
    """Write `tree` such that the part is there whole and on the disk, or not at all.

    Raises:
        RunStoreError: if the disk does not let us; nothing is left behind.
        TypeError: if the tree holds a type that is not allowed; names the place.
    """
    path = part_path(directory, name)
    _require_torch(path)
    encoded = trees.encode(tree, name)
    beside = beside_name(path)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        written = _save_synced(beside, encoded)
        os.replace(beside, path)
        sync_directory(directory)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with suppress(OSError):
            beside.unlink()
    return PartInfo(name, written.num_bytes, written.sha256.hexdigest())


def load_part(directory: Path, info: PartInfo) -> Any:
    """Read a part back, tensors on the CPU.

    Raises:
        RunStoreError: if the file is missing or not what was written; names it.
    """
    path = part_path(directory, info.name)
    _require_torch(path)
    import torch

    try:
        with path.open("rb") as file:
            _check(path, file, info)
            file.seek(0)
            return trees.decode(torch.load(file, map_location="cpu", weights_only=True))
    except OSError as error:
        raise RunStoreError(f"cannot read {path}: {error.strerror}") from error


class _HashingFile:
    """A file for `torch.save`: hashes what passes, and keeps errors from passing through C++."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.sha256 = hashlib.sha256()
        self.num_bytes = 0
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        if self.error is None:
            try:
                self._write_all(memoryview(data).cast("B"))
            except OSError as error:
                self.error = error
        return len(data)

    def flush(self) -> None:
        return

    def _write_all(self, rest: memoryview) -> None:
        self.sha256.update(rest)
        self.num_bytes += len(rest)
        while rest:
            rest = rest[os.write(self._fd, rest) :]


def _require_torch(path: Path) -> None:
    if importlib.util.find_spec("torch") is None:
        raise RunStoreError(f"{path} needs torch, which is missing; pip install 'hpctrain[torch]'")


def _save_synced(path: Path, encoded: Any) -> _HashingFile:
    import torch

    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, READABLE_BY_ALL)
    try:
        file = _HashingFile(fd)
        torch.save(encoded, cast(IO[bytes], file))  # it asks for no more than `write`
        if file.error is not None:
            raise file.error
        os.fsync(fd)
    finally:
        os.close(fd)
    return file


def _check(path: Path, file: BinaryIO, info: PartInfo) -> None:
    found_bytes = os.fstat(file.fileno()).st_size
    if found_bytes != info.bytes:
        raise RunStoreError(
            f"{path} is damaged: it has {found_bytes} bytes, but {info.bytes} were written"
        )
    digest = hashlib.sha256()
    while chunk := file.read(CHUNK_BYTES):
        digest.update(chunk)
    if digest.hexdigest() != info.sha256:
        raise RunStoreError(
            f"{path} is damaged: its sha256 begins with {digest.hexdigest()[:12]}, but what was "
            f"written began with {info.sha256[:12]}"
        )
