"""The HDF5 file of one rank: a group per kind, a dataset per column; and how it is read.

A file is built in memory and written in one go. So no reader ever meets a half-written file, and a
full disk is an ordinary write error instead of a broken HDF5 library.
"""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hpctrain.errors import RunStoreError
from hpctrain.storage.columns import Array, Table
from hpctrain.storage.log_reader import LogContents
from hpctrain.storage.schema import KINDS, columns_of

FOLDED_BYTES = "folded_log_bytes"  # how much of the log is in the file: tells whether it is fresh

Source = Path | bytes
"""A file, or the image of one that could not be written."""


def rank_image(rank: int, contents: LogContents, tables: Mapping[str, Table]) -> bytes:
    """The bytes of a rank's HDF5 file."""
    attributes = {
        **contents.header,
        "rank": rank,
        FOLDED_BYTES: contents.end_bytes,
        "damaged": "; ".join(map(str, contents.damage)),
    }
    return image(attributes, tables)


def image(attributes: Mapping[str, Any], tables: Mapping[str, Table]) -> bytes:
    """The bytes of an HDF5 file with root attributes and tables."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        set_attributes(file, attributes)
        for kind, table in tables.items():
            _write_table(file.create_group(kind), kind, table)
    return buffer.getvalue()


def set_attributes(target: h5py.Group, attributes: Mapping[str, Any]) -> None:
    """Numbers and texts as they are; whatever nests, as JSON."""
    for name, value in attributes.items():
        target.attrs[name] = _attribute(value)


def read_attributes(source: Source) -> dict[str, Any]:
    """The root attributes as Python values."""
    with opened(source) as file:
        return {
            name: value.item() if isinstance(value, np.generic) else value
            for name, value in file.attrs.items()
        }


def read_kinds(source: Source) -> tuple[str, ...]:
    """The kinds that have rows."""
    with opened(source) as file:
        return tuple(file)


def read_table(source: Source, kind: str) -> Table | None:
    """The columns of `kind`, or None if the rank has no such rows."""
    with opened(source) as file:
        if kind not in file:
            return None
        group = file[kind]
        names = [name for name in group.attrs["columns"] if name in group]
        return {name: _read_column(group[name]) for name in names}


def folded_bytes(path: Path) -> int:
    """How many bytes of the log the file holds; -1 if there is no file that can be read."""
    if not path.exists():
        return -1
    try:
        with opened(path) as file:
            return int(file.attrs.get(FOLDED_BYTES, -1))
    except RunStoreError:
        return -1


def opened(source: Source) -> h5py.File:
    """Open for reading, without HDF5's file locks: files are replaced, never changed.

    Raises:
        RunStoreError: if it is no HDF5 file or cannot be read.
    """
    if isinstance(source, bytes):
        return h5py.File(io.BytesIO(source), "r")
    try:
        return h5py.File(source, "r", locking=False)
    except OSError as error:
        raise RunStoreError(
            f"cannot read {source}: {error}; if the run's logs are there, delete the file: "
            "it is made again from them"
        ) from error


def _write_table(group: h5py.Group, kind: str, table: Table) -> None:
    group.attrs["description"] = KINDS.get(kind, "")
    group.attrs["columns"] = list(table)  # HDF5 would give them in alphabetical order
    known = {column.name: column for column in columns_of(kind)}
    for name, values in table.items():
        dataset = _write_column(group, name, values)
        column = known.get(name)
        dataset.attrs["unit"] = column.unit if column else ""
        dataset.attrs["description"] = column.description if column else ""


def _write_column(group: h5py.Group, name: str, values: Array) -> h5py.Dataset:
    if values.dtype != object:
        return group.create_dataset(name, data=values)
    if len(values) and isinstance(values[0], np.ndarray):
        dataset = group.create_dataset(name, values.shape, h5py.vlen_dtype(values[0].dtype))
        for row, value in enumerate(values):
            dataset[row] = value
        return dataset
    texts = [text.replace("\0", "\\0") for text in values]  # HDF5's texts end at the first NUL
    return group.create_dataset(name, data=texts, dtype=h5py.string_dtype(), shape=values.shape)


def _read_column(dataset: h5py.Dataset) -> Array:
    text = h5py.check_string_dtype(dataset.dtype) is not None
    values: Array = dataset.asstr()[...] if text else dataset[...]
    return values


def _attribute(value: Any) -> Any:
    match value:
        case bool() | int() | float() | str() | np.generic() | np.ndarray():
            return value.replace("\0", "\\0") if isinstance(value, str) else value
        case None:
            return ""
        case _:
            return json.dumps(value, sort_keys=True, default=str)
