"""The tables of docs/run-store.md, made from the schema.

`python -m hpctrain.storage.schema_doc docs/run-store.md` brings the file up to date.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from hpctrain.storage.schema import KINDS, Column, columns_of

BEGIN = "<!-- columns: made by `python -m hpctrain.storage.schema_doc`; do not edit -->"
END = "<!-- end of columns -->"

DTYPE_NAMES = {"f8": "float64", "i8": "int64", "i1": "int8 (0 or 1)", "str": "text"}


def column_tables() -> str:
    """Markdown: a heading, a sentence and a table for every kind."""
    return "\n".join(line for kind in KINDS for line in _kind_lines(kind))


def with_column_tables(document: str) -> str:
    """The document with the part between the markers made anew.

    Raises:
        ValueError: if it lacks a marker.
    """
    head, begin, rest = document.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document needs the lines {BEGIN!r} and {END!r}")
    return f"{head}{BEGIN}\n\n{column_tables()}\n{END}{tail}"


def _kind_lines(kind: str) -> Iterator[str]:
    yield f"### `{kind}`\n"
    yield f"{KINDS[kind][0].upper()}{KINDS[kind][1:]}.\n"
    yield "| column | type | unit | what it is |"
    yield "|---|---|---|---|"
    yield from map(_row, columns_of(kind))
    yield ""


def _row(column: Column) -> str:
    dtype = DTYPE_NAMES[column.dtype]
    return f"| `{column.name}` | {dtype} | {column.unit} | {column.description} |"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(with_column_tables(path.read_text()))
