"""What was done to every tensor over time: means of the rows of kind `correction` in bins."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from hpctrain.report.tables import Array, Table, num_rows

MOST_TENSORS = 40
MOST_BINS = 60
ROWS_PER_BIN = 3  # of a tensor, in the mean: few bins are empty


@dataclass(frozen=True, slots=True)
class CorrectionMap:
    """Means by tensor and time; NaN where there was nothing.

    Attributes:
        tensors: names, numbers in them in the order of numbers.
        edges_s: of the bins, (bins + 1,).
        amount: length of the change over that of the pseudo-gradient, (tensors, bins).
        cosine: between pseudo-gradient and outer momentum, (tensors, bins).
        left_out: tensors that were changed less than those that are here.
    """

    tensors: tuple[str, ...]
    edges_s: Array
    amount: Array
    cosine: Array
    left_out: int


def read_correction_map(rows: Table) -> CorrectionMap | None:
    """The map of all rows; None if there are none."""
    if not num_rows(rows):
        return None
    names, tensor = np.unique(_names(rows), return_inverse=True)
    kept = _most_changed(names, tensor, rows["amount"])
    last_s = float(rows["time_s"].max())
    bins = int(np.clip(num_rows(rows) // len(names) // ROWS_PER_BIN, 1, MOST_BINS))
    edges = np.linspace(0.0, last_s or 1.0, bins + 1)
    place = np.clip(np.searchsorted(edges, rows["time_s"], side="left") - 1, 0, bins - 1)
    cell, shape = tensor * bins + place, (len(names), bins)
    return CorrectionMap(
        tensors=tuple(str(names[n]) for n in kept),
        edges_s=edges,
        amount=_means(rows["amount"], cell, shape)[kept],
        cosine=_means(rows["cosine"], cell, shape)[kept],
        left_out=len(names) - len(kept),
    )


def _names(rows: Table) -> Array:
    """A fragment that was corrected as a whole has no name of a tensor."""
    pairs = zip(rows["tensor"], rows["fragment"], strict=True)
    return np.array([str(tensor) or f"fragment {fragment}" for tensor, fragment in pairs])


def _most_changed(names: Array, tensor: Array, amount: Array) -> list[int]:
    """Those with the largest mean amounts, in the order of their names."""
    mean = _means(amount, tensor, (len(names),))
    largest = np.argsort(-np.nan_to_num(mean), kind="stable")[:MOST_TENSORS]
    return sorted(largest.tolist(), key=lambda n: _in_order(str(names[n])))


def _in_order(name: str) -> list[tuple[int, str]]:
    """Layer 10 comes after layer 2."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _means(values: Array, cell: Array, shape: tuple[int, ...]) -> Array:
    """The mean of those values in each cell that are finite; NaN where there is none."""
    finite = np.isfinite(values)
    size = int(np.prod(shape))
    counts = np.bincount(cell[finite], minlength=size)
    sums = np.bincount(cell[finite], weights=values[finite], minlength=size)
    means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return means.reshape(shape)
