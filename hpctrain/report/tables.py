"""What a report needs of a run: its directory, what `run.json` says, and tables of rows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Table = Mapping[str, Array]
"""Columns of equal length by name; texts are arrays of `str` objects."""


class RunTables(Protocol):
    """A run as a reader sees it, whether it goes on, has finished or was killed."""

    @property
    def run_dir(self) -> Path: ...

    @property
    def identity(self) -> dict[str, Any]: ...

    @property
    def ranks(self) -> tuple[int, ...]: ...

    def table(self, kind: str) -> Mapping[str, Array]:
        """The rows of `kind` of all ranks, by rank and then in the order of writing."""
        ...


def num_rows(table: Table) -> int:
    return len(next(iter(table.values()))) if table else 0


def chosen(table: Table, which: Array) -> Table:
    """The rows of `table` that the mask or the indices `which` name."""
    return {name: values[which] for name, values in table.items()}


def column(table: Table, name: str) -> Array:
    """A column of numbers as float64 (rows,), with zero where it is missing."""
    if name not in table:
        return np.zeros(num_rows(table))
    return np.nan_to_num(table[name].astype(np.float64))


def total(table: Table, name: str) -> float:
    """The sum of a column; rows in which it is missing (NaN, or -1) count as nothing."""
    return float(np.maximum(column(table, name), 0.0).sum())
