"""Folding: making the HDF5 files that people open from the logs that ranks append to."""

import io
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py

from hpctrain.errors import RunStoreError
from hpctrain.storage.columns import tables_of
from hpctrain.storage.files import write_whole
from hpctrain.storage.layout import RunLayout, rank_name
from hpctrain.storage.log_reader import read_log
from hpctrain.storage.rank_file import folded_bytes, opened, rank_image, set_attributes
from hpctrain.storage.runs import read_identity

logger = logging.getLogger(__name__)


def fold_run(run_dir: Path) -> tuple[int, ...]:
    """Bring every rank's HDF5 file and `run.h5` up to date with the logs.

    Works on a running, finished or killed run, from any process, and any number of times.

    Returns:
        The ranks whose files were made anew.

    Raises:
        RunStoreError: if this is no run directory, or a file cannot be written.
    """
    layout = RunLayout(Path(run_dir))
    identity = read_identity(layout)
    stale = tuple(rank for rank in layout.logged_ranks() if not is_fresh(layout, rank))
    for rank in stale:
        fold_rank(layout, rank)
    update_index(layout, identity)
    return stale


def fold_rank(layout: RunLayout, rank: int) -> None:
    """Make one rank's HDF5 file from its log; until it is whole, readers see the old one."""
    write_whole(layout.rank_file(rank), folded_image(layout, rank))


def folded_image(layout: RunLayout, rank: int) -> bytes:
    """The bytes that `fold_rank` would write."""
    contents = read_log(layout.log(rank))
    if contents.damage:
        places = "; ".join(map(str, contents.damage))
        logger.warning("%s is damaged (%s); all other rows were read", contents.path, places)
    return rank_image(rank, contents, tables_of(contents.records))


def is_fresh(layout: RunLayout, rank: int) -> bool:
    """Whether the HDF5 file holds all of the log. Never so while the log has a torn tail."""
    return folded_bytes(layout.rank_file(rank)) == layout.log(rank).stat().st_size


def update_index(layout: RunLayout, identity: dict[str, Any]) -> None:
    """Make `run.h5` link to all rank files there are.

    Ranks do this at the same time without a lock. Each looks again after writing, so the one that
    wrote last has seen all files.
    """
    while set(linked := layout.folded_ranks()) != _linked_ranks(layout):
        write_whole(layout.index, _index_image(linked, identity))


def _index_image(ranks: Iterable[int], identity: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        set_attributes(file, identity)
        for rank in ranks:  # relative names, so that the directory can be moved
            file[rank_name(rank)] = h5py.ExternalLink(f"{rank_name(rank)}.h5", "/")
    return buffer.getvalue()


def _linked_ranks(layout: RunLayout) -> set[int] | None:
    if not layout.index.exists():
        return None
    try:
        with opened(layout.index) as file:
            return {int(name.removeprefix("rank-")) for name in file}
    except RunStoreError:
        return None
