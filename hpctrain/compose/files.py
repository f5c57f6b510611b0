"""Writing what a report has made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hpctrain.errors import HpctrainError


def write_all(contents: Sequence[tuple[Path, bytes]]) -> list[Path]:
    """Write each content to its path; the paths.

    Raises:
        HpctrainError: if one cannot be written.
    """
    for path, content in contents:
        try:
            path.write_bytes(content)
        except OSError as error:
            raise HpctrainError(f"cannot write {path}: {error.strerror or error}") from error
    return [path for path, _ in contents]
