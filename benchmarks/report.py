"""How benchmarks print results: a table for people, and one JSON object as the last line."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table


def print_result(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    figures: Mapping[str, Any],
    notes: Sequence[str] = (),
) -> None:
    """Print the table, the notes, the machine, and the figures."""
    console = Console(highlight=False, width=100)
    table = Table(*columns, title=title, title_justify="left")
    for row in rows:
        table.add_row(*row)
    console.print(table)
    for note in notes:
        console.print(note, soft_wrap=True)
    console.print(f"{platform.machine()}, Python {platform.python_version()}", soft_wrap=True)
    print(json.dumps(figures))
