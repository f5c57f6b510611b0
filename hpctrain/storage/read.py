"""Reading a run, whether it goes on, has finished or was killed."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hpctrain.errors import RunStoreError
from hpctrain.storage.columns import Table, empty_table, joined, num_rows
from hpctrain.storage.fold import fold_rank, folded_image, is_fresh, update_index
from hpctrain.storage.layout import RunLayout
from hpctrain.storage.rank_file import Source, read_attributes, read_kinds, read_table
from hpctrain.storage.runs import read_identity
from hpctrain.storage.schema import KINDS


@dataclass(frozen=True, slots=True)
class Run:
    """A run as it was when `open_run` was called.

    Attributes:
        run_dir: its directory.
        identity: what `run.json` says: configuration, seed, versions, commit, start time.
        ranks: the ranks that wrote anything.
    """

    run_dir: Path
    identity: dict[str, Any]
    ranks: tuple[int, ...]
    _sources: dict[int, Source] = field(repr=False)

    def kinds(self) -> tuple[str, ...]:
        """The kinds that have rows on any rank."""
        return tuple(dict.fromkeys(k for s in self._sources.values() for k in read_kinds(s)))

    def header(self, rank: int) -> dict[str, Any]:
        """What the rank said of itself at its start: worker, island, host, ..."""
        return read_attributes(self._sources[rank])

    def table(self, kind: str) -> Table:
        """The rows of `kind` of all ranks, by rank and then in the order of writing.

        Returns:
            Columns by name, each of (rows,); first a column `rank`. A kind of the schema that has
            no rows gives empty columns.

        Raises:
            RunStoreError: if the kind is neither in the schema nor in this run.
        """
        parts: list[Table] = []
        for rank in self.ranks:
            part = read_table(self._sources[rank], kind)
            if part is not None:
                parts.append({"rank": np.full(num_rows(part), rank, np.int64), **_no_rank(part)})
        if parts:
            return joined(parts)
        if kind not in KINDS:
            raise RunStoreError(
                f"{self.run_dir} has no rows of kind {kind!r}; it has {', '.join(self.kinds())}"
            )
        return {"rank": np.empty(0, np.int64), **empty_table(kind)}


def open_run(run_dir: Path | str) -> Run:
    """Fold what is new, and give a view of the whole run.

    A run in a directory where nothing can be written is folded in memory.

    Raises:
        RunStoreError: if this is no run directory, or its files cannot be read.
    """
    layout = RunLayout(Path(run_dir))
    identity = read_identity(layout)
    ranks = tuple(sorted({*layout.logged_ranks(), *layout.folded_ranks()}))
    sources = {rank: _source(layout, rank) for rank in ranks}
    _try_update_index(layout, identity)
    return Run(layout.run_dir, identity, ranks, sources)


def _source(layout: RunLayout, rank: int) -> Source:
    if not layout.log(rank).exists() or is_fresh(layout, rank):
        return layout.rank_file(rank)
    try:
        fold_rank(layout, rank)
    except RunStoreError:
        return folded_image(layout, rank)  # raises again if it was the log that is at fault
    return layout.rank_file(rank)


def _try_update_index(layout: RunLayout, identity: dict[str, Any]) -> None:
    try:
        update_index(layout, identity)
    except RunStoreError:
        return  # a reader who may not write does without


def _no_rank(table: Table) -> Table:
    return {name: values for name, values in table.items() if name != "rank"}
