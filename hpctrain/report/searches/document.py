"""A search as one document of plain values, for JSON, CSV and other programs.

The document is versioned: readers may rely on every key of version 1 for as long as it says 1.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any, TextIO

import numpy as np

from hpctrain.report.searches.records import SearchRecords, numbers
from hpctrain.report.searches.texts import loss_names
from hpctrain.report.tables import Array

FORMAT = "hpctrain-search"
VERSION = 1
TIMES = {"began_s": "began_s", "ended_s": "time_s", "took_s": "took_s"}
PARAMETER = "param."

Document = dict[str, Any]


def search_document(records: SearchRecords) -> Document:
    """Everything about a search; what is missing or no finite number is None.

    `space` has the parameters in the order of their declaration as far as that is known, in the
    form of `run.json`. `candidates` are in the order of their numbers; `parameters` of each has
    those that applied to it, and `values` are pairs of step and value.
    """
    space = records.search["space"]
    return {
        "format": FORMAT,
        "version": VERSION,
        "name": records.facts.name,
        "objective": records.search.get("objective"),
        "propagator": records.search.get("propagator"),
        "losses": loss_names(records),
        "direction": "minimize",
        "space": {name: space[name] for name in records.parameters},
        "seed": records.facts.seed,
        "started": records.started,
        "versions": dict(records.facts.versions),
        "elapsed_s": records.elapsed_s,
        "candidates": list(_candidates(records)),
    }


def write_json(document: Document, file: TextIO) -> None:
    """JSON with a line per candidate."""
    head = {key: value for key, value in document.items() if key != "candidates"}
    text = json.dumps(head, indent=1, allow_nan=False, ensure_ascii=False)
    file.write(text.removesuffix("\n}") + ',\n "candidates": [')
    for place, candidate in enumerate(document["candidates"]):
        line = json.dumps(candidate, allow_nan=False, ensure_ascii=False)
        file.write(f"{',' if place else ''}\n  {line}")
    file.write("\n ]\n}\n")


def write_csv(document: Document, file: TextIO) -> None:
    """A row per candidate and a column per parameter; what is missing is empty."""
    rows = flat_rows(document)
    writer = csv.DictWriter(file, column_names(document), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


def column_names(document: Document) -> list[str]:
    """The columns of a table of all candidates."""
    names = ["number", "outcome", *document["losses"]]
    names += [PARAMETER + name for name in document["space"]]
    return names + [key for key in _PLAIN if key not in names]


def flat_rows(document: Document) -> Iterator[dict[str, Any]]:
    """A table of all candidates, row by row; parameters that do not apply are left out."""
    for candidate in document["candidates"]:
        row = {key: candidate[key] for key in ("number", "outcome", *_PLAIN)}
        row |= dict(zip(document["losses"], candidate["losses"], strict=True))
        for name, value in candidate["parameters"].items():
            row[PARAMETER + name] = "None" if value is None else value
        yield row


_PLAIN = (
    "reason", "made_by", "worker", "island", "began_s", "ended_s", "took_s", "cost", "last_step",
    "last_value",
)  # fmt: skip


def _candidates(records: SearchRecords) -> Iterator[dict[str, Any]]:
    table, on_the_way = records.table, _values(records)
    times = {name: _plain(numbers(table, column)) for name, column in TIMES.items()}
    cost, last_value = _plain(numbers(table, "cost")), _plain(numbers(table, "last_value"))
    losses = [_plain(column) for column in records.losses.T]
    for row in np.argsort(table["number"], kind="stable").tolist():
        number, last_step = int(table["number"][row]), int(table["last_step"][row])
        yield {
            "number": number,
            "outcome": str(table["outcome"][row]),
            "losses": [column[row] for column in losses],
            "parameters": records.config(row),
            "reason": str(table["reason"][row]) or None,
            "made_by": str(table["made_by"][row]) or None,
            "worker": int(table["worker"][row]),
            "island": int(table["island"][row]),
            **{name: column[row] for name, column in times.items()},
            "cost": cost[row],
            "last_step": last_step if last_step >= 0 else None,
            "last_value": last_value[row],
            "values": on_the_way.get((number, int(table["worker"][row])), []),
        }


def _values(records: SearchRecords) -> Mapping[tuple[int, int], list[list[Any]]]:
    """What each candidate reported on the way, by its number and the worker that evaluated it."""
    values = records.values
    found: dict[tuple[int, int], list[list[Any]]] = {}
    for number, worker, step, value in zip(
        values["number"].tolist(), values["worker"].tolist(), values["step"].tolist(),
        _plain(values["value"].astype(np.float64)), strict=True,
    ):  # fmt: skip
        found.setdefault((number, worker), []).append([step, value])
    return found


def _plain(column: Array) -> list[float | None]:
    return [value if isfinite(value) else None for value in column.tolist()]
