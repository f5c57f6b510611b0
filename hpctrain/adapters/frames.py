"""The door to pandas: a table of all candidates of a search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hpctrain.errors import HpctrainError

Rows = Sequence[Mapping[str, Any]]
WHOLE = ("number", "worker", "island", "last_step")
TEXTS = ("outcome", "reason", "made_by")
PARAMETER = "param."


def to_frame(names: Sequence[str], rows: Rows, space: Mapping[str, Any]) -> Any:
    """A `pandas.DataFrame` whose columns have the types of what is in them.

    Args:
        names: of the columns.
        rows: what is missing may be left out.
        space: the parameters, as `run.json` describes them.

    Raises:
        HpctrainError: if pandas is missing.
    """
    pandas = _pandas()
    columns = {}
    for name in names:
        values = [row.get(name) for row in rows]
        columns[name] = pandas.Series(values, dtype=dtype_of(name, space))
    return pandas.DataFrame(columns, columns=list(names))


def dtype_of(name: str, space: Mapping[str, Any]) -> str:
    """The type of a column: Int64 and boolean are pandas' own, which know missing values."""
    if name.startswith(PARAMETER):
        return _dtype_of_parameter(space[name.removeprefix(PARAMETER)])
    if name in WHOLE:
        return "Int64"
    return "object" if name in TEXTS else "float64"


def _dtype_of_parameter(parameter: Mapping[str, Any]) -> str:
    if "low" in parameter:
        numbers = [parameter[key] for key in ("low", "high", "step") if key in parameter]
        return "Int64" if all(type(number) is int for number in numbers) else "float64"
    values = parameter["options"] if "options" in parameter else [parameter["value"]]
    kinds = {type(value) for value in values}
    return {bool: "boolean", int: "Int64", float: "float64"}.get(
        kinds.pop() if len(kinds) == 1 else object, "object"
    )


def _pandas() -> Any:
    try:
        import pandas
    except ImportError as error:
        raise HpctrainError(
            f"a table needs pandas, which cannot be imported here ({error}); install it by: "
            "pip install 'hpctrain[export]'"
        ) from None
    return pandas
