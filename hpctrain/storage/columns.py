"""From rows to columns: what type a column gets, and what stands where a value is missing."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from hpctrain.storage.log_reader import LogRecord
from hpctrain.storage.records import Value
from hpctrain.storage.schema import MISSING, columns_of

Array = np.ndarray[Any, np.dtype[Any]]
Table = dict[str, Array]
"""Columns of equal length by name; texts are arrays of `str` objects."""

PYTHON_TYPES = {bool, int, float, str, type(None)}
INT64 = np.iinfo(np.int64)


def tables_of(records: Iterable[LogRecord]) -> dict[str, Table]:
    """One table per kind that occurs, rows in the order of the log."""
    rows: dict[str, list[dict[str, Value]]] = {}
    for record in records:
        rows.setdefault(record.kind, []).append(record.fields)
    return {kind: _table(kind, kind_rows) for kind, kind_rows in rows.items()}


def empty_table(kind: str) -> Table:
    """The columns of a known kind, without rows."""
    return {column.name: column_of([], column.dtype) for column in columns_of(kind)}


def joined(tables: Sequence[Table]) -> Table:
    """The rows of all `tables`, one after the other; a column that one lacks is missing there."""
    names = dict.fromkeys(name for table in tables for name in table)
    return {name: _joined_column(name, tables) for name in names}


def column_of(values: Sequence[Value], dtype: str | None) -> Array:
    """An array of `values`; of `dtype` if they fit it without loss, else of a type that fits.

    Args:
        values: one per row; None where it is missing.
        dtype: `f8`, `i8`, `i1` or `str` from the schema; None for a column that is not there.

    Returns:
        Array of (rows,), or of (rows, ...) for arrays of one shape; arrays of several shapes
        become an object array of (rows,) that holds them flattened.
    """
    plain = _plain(values)
    families = {_family(kind) for kind in set(map(type, plain)) - {type(None)}}
    if families == {"array"}:
        return _array_column(plain)
    fitting = _fitting_dtype(plain, families)
    return _filled(plain, _wider(dtype, fitting, plain, families))


def _table(kind: str, rows: Sequence[dict[str, Value]]) -> Table:
    dtypes: dict[str, str | None] = {column.name: column.dtype for column in columns_of(kind)}
    for row in rows:
        for name in row:
            dtypes.setdefault(name, None)
    return {name: column_of([row.get(name) for row in rows], dtypes[name]) for name in dtypes}


def _plain(values: Sequence[Value]) -> Sequence[Any]:
    """The values with Python's numbers in place of numpy's."""
    if (
        set(map(type, values)) <= PYTHON_TYPES
    ):  # nearly always, and much faster than looking at each
        return values
    return [_python_scalar(value) for value in values]


def _python_scalar(value: Any) -> Any:
    scalar = isinstance(value, np.generic | np.ndarray) and value.ndim == 0
    return value.item() if scalar else value


def _family(kind: type) -> str:
    if issubclass(kind, bool):  # before int, of which it is a subclass
        return "i1"
    if issubclass(kind, int):
        return "i8"
    if issubclass(kind, float):
        return "f8"
    return "array" if issubclass(kind, np.ndarray) else "str"


def _fitting_dtype(values: Sequence[Any], families: set[str]) -> str:
    if families & {"str", "array"}:
        return "str"
    if "f8" in families or not families:
        return "f8"
    if "i8" not in families:
        return "i1"
    numbers = [value for value in values if value is not None]
    if INT64.min <= min(numbers) and max(numbers) <= INT64.max:
        return "i8"
    return "u8" if len(numbers) == len(values) and min(numbers) >= 0 else "f8"


def _wider(wanted: str | None, fitting: str, values: Sequence[Any], families: set[str]) -> str:
    """The wanted dtype if nothing is lost by it."""
    if wanted is None or wanted == fitting:
        return fitting
    if not families or wanted == "str" or (wanted == "f8" and fitting in {"i1", "i8"}):
        return wanted
    if wanted == "i8" and fitting == "i1":
        return wanted
    if wanted == "i1" and fitting == "i8" and all(v is None or v in {0, 1} for v in values):
        return wanted
    if wanted == "i8" and fitting == "f8" and all(map(_is_whole, values)):
        return wanted
    return fitting


def _is_whole(value: Any) -> bool:
    return value is None or (
        isinstance(value, int | float)
        and float(value).is_integer()
        and INT64.min <= value <= INT64.max
    )


def _filled(values: Sequence[Any], dtype: str) -> Array:
    if dtype == "str":
        texts = ["" if value is None else str(value) for value in values]
        column = np.empty(len(texts), object)
        column[:] = texts
        return column
    missing = MISSING.get(dtype)
    return np.array([missing if value is None else value for value in values], dtype)


def _array_column(values: Sequence[Any]) -> Array:
    shapes = {None if value is None else value.shape for value in values}
    if len(shapes) == 1:
        return np.stack(values)
    present = [value for value in values if value is not None]
    dtype = np.result_type(*present)
    column = np.empty(len(values), object)
    for row, value in enumerate(values):
        column[row] = np.empty(0, dtype) if value is None else value.astype(dtype).ravel()
    return column


def _joined_column(name: str, tables: Sequence[Table]) -> Array:
    present = [table[name] for table in tables if name in table and len(table[name])]
    if not present:
        return next(table[name] for table in tables if name in table)
    if any(part.dtype == object or part.ndim > 1 for part in present):
        return _joined_objects(name, tables)
    dtype = np.result_type(*present)
    missing = MISSING.get(dtype.str[1:], 0)
    parts = [
        table[name].astype(dtype) if name in table else np.full(num_rows(table), missing, dtype)
        for table in tables
    ]
    return np.concatenate(parts)


def _joined_objects(name: str, tables: Sequence[Table]) -> Array:
    values: list[Value] = []
    for table in tables:
        values += list(table[name]) if name in table else [None] * num_rows(table)
    return column_of(values, None)


def num_rows(table: Table) -> int:
    """Rows of a table; all its columns are of this length."""
    return len(next(iter(table.values()))) if table else 0
