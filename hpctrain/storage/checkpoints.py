"""Checkpoints: a directory per checkpoint, a file per part, and a manifest that comes last.

Every rank writes its part; then one rank, which has gathered the `PartInfo`s, commits. Only with
its manifest is a checkpoint complete, and only then are older ones deleted. So whenever the job is
killed, the newest complete checkpoint is whole.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hpctrain.errors import RunStoreError
from hpctrain.storage.files import sync_directory, write_whole
from hpctrain.storage.layout import CHECKPOINT_NAME, RunLayout
from hpctrain.storage.parts import PartInfo, load_part, part_path, save_part

FORMAT = 1
MANIFEST = "MANIFEST.json"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A complete checkpoint.

    Attributes:
        number: as given when it was written; later ones have higher numbers.
        path: its directory.
        parts: every part, in the order of the commit.
        meta: as given to `CheckpointDir.commit`.
    """

    number: int
    path: Path
    parts: tuple[PartInfo, ...]
    meta: dict[str, Any]


class CheckpointDir:
    """The checkpoints of one run.

    Args:
        run_dir: the run's directory.
        keep: how many complete checkpoints stay; at least one.
    """

    def __init__(self, run_dir: Path | str, keep: int = 2) -> None:
        if keep < 1:
            raise ValueError(f"keep = {keep} checkpoints, but at least 1 must stay")
        self._layout = RunLayout(Path(run_dir))
        self._keep = keep

    def next_number(self) -> int:
        """One more than any checkpoint here, complete or not. For one rank to ask and to tell."""
        return max(self._numbers(), default=-1) + 1

    def write_part(self, number: int, name: str, tree: Any) -> PartInfo:
        """Write one part; it is on the disk when this returns.

        Args:
            number: of the checkpoint, the same on all ranks.
            name: of the part, different on all ranks.
            tree: dicts, lists and tuples of numbers, texts, bytes, None, numpy arrays, tensors.

        Raises:
            RunStoreError: if the checkpoint is complete already, or the disk does not let us; the
                older checkpoints are intact, and no temporary file stays.
            TypeError: if the tree holds another type; names the place.
        """
        directory = self._layout.checkpoint(number)
        if (directory / MANIFEST).exists():
            raise RunStoreError(
                f"{directory} is complete already; write checkpoint {self.next_number()}"
            )
        return save_part(directory, name, tree)

    def commit(self, number: int, parts: Sequence[PartInfo], meta: dict[str, Any]) -> Checkpoint:
        """Make the checkpoint complete, then delete what it makes superfluous.

        Args:
            number: of the checkpoint.
            parts: from all ranks.
            meta: anything that JSON holds.

        Raises:
            RunStoreError: if a part is not there as described, or the manifest cannot be written.
        """
        directory = self._layout.checkpoint(number)
        for part in parts:
            _check_present(directory, part)
        content = {
            "format": FORMAT,
            "number": number,
            "parts": [asdict(part) for part in parts],
            "meta": meta,
        }
        sealed = {**content, "sha256": _seal(content)}
        sync_directory(directory.parent)
        write_whole(directory / MANIFEST, json.dumps(sealed, indent=1).encode())
        self._delete_superfluous(number)
        return _read_manifest(directory)

    def complete(self) -> tuple[Checkpoint, ...]:
        """All complete checkpoints, newest first. Parts are checked for size, not yet hashed."""
        found: list[Checkpoint] = []
        for number in sorted(self._numbers(), reverse=True):
            directory = self._layout.checkpoint(number)
            if not (directory / MANIFEST).exists():
                continue  # never finished: no error, just not a checkpoint
            try:
                found.append(_read_complete(directory))
            except RunStoreError as error:
                logger.warning("checkpoint %d is passed over: %s", number, error)
        return tuple(found)

    def latest(self) -> Checkpoint | None:
        """The newest complete checkpoint, if there is one."""
        return next(iter(self.complete()), None)

    def read_part(self, checkpoint: Checkpoint, name: str) -> Any:
        """The tree that was written, tensors on the CPU.

        Raises:
            RunStoreError: if there is no such part, or it is damaged; names the file.
        """
        for part in checkpoint.parts:
            if part.name == name:
                return load_part(checkpoint.path, part)
        names = ", ".join(part.name for part in checkpoint.parts)
        raise RunStoreError(f"{checkpoint.path} has no part {name!r}; it has {names}")

    def _numbers(self) -> list[int]:
        directory = self._layout.checkpoints
        if not directory.is_dir():
            return []
        names = [entry.name for entry in directory.iterdir()]
        return [int(name) for name in names if CHECKPOINT_NAME.fullmatch(name)]

    def _delete_superfluous(self, newest: int) -> None:
        older = [checkpoint.number for checkpoint in self.complete() if checkpoint.number <= newest]
        kept = set(older[: self._keep])
        for number in self._numbers():
            if number < newest and number not in kept:
                _delete(self._layout.checkpoint(number))


def _delete(directory: Path) -> None:
    (directory / MANIFEST).unlink(missing_ok=True)  # first, so that no half of it looks whole
    shutil.rmtree(directory, ignore_errors=True)


def _read_complete(directory: Path) -> Checkpoint:
    checkpoint = _read_manifest(directory)
    for part in checkpoint.parts:
        _check_present(directory, part)
    return checkpoint


def _read_manifest(directory: Path) -> Checkpoint:
    path = directory / MANIFEST
    try:
        content = json.loads(path.read_bytes())
        seal = content.pop("sha256")
        if seal != _seal(content):
            raise RunStoreError(f"{path} is damaged: its sha256 does not fit")
        if content["format"] != FORMAT:
            raise RunStoreError(
                f"{path} is of format {content['format']!r}, but this version reads {FORMAT}"
            )
        parts = tuple(PartInfo(**part) for part in content["parts"])
        return Checkpoint(content["number"], directory, parts, content["meta"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunStoreError(f"{path} is no manifest: {error}") from error


def _seal(content: dict[str, Any]) -> str:
    canonical = json.dumps(json.loads(json.dumps(content)), sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _check_present(directory: Path, part: PartInfo) -> None:
    path = part_path(directory, part.name)
    found_bytes = path.stat().st_size if path.exists() else None
    if found_bytes != part.bytes:
        found = "missing" if found_bytes is None else f"of {found_bytes} bytes"
        raise RunStoreError(f"{path} is {found}, but its writer reported {part.bytes} bytes")
