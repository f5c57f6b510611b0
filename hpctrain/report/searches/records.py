"""All that a search has written down, read once: candidates in the order in which they ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpctrain.report.facts import RunFacts, read_facts
from hpctrain.report.searches.genes import gene_names, gene_table
from hpctrain.report.searches.space import Parameter, Value, configuration, read_parameters
from hpctrain.report.tables import Array, RunTables, Table, chosen

CLOSING = ("finish", "stop", "abort")


@dataclass(frozen=True, slots=True)
class SearchRecords:
    """A search as a reader sees it.

    Attributes:
        search: what `run.json` says of it: space, objective, propagator.
        settings: its section of the settings.
        started: as ISO 8601, in UTC; empty if that is not known.
        parameters: all by name, those that vary first, then constants.
        names: of those that vary.
        table: the rows of kind `candidate`, by the time of their end.
        genes: (rows, names), values or indices of options, NaN where one does not apply.
        losses: (rows, objectives), NaN where there is none.
        values: the rows of kind `candidate_value`.
        workers: the rows of kind `search_worker`.
        events: the rows of kind `event`.
    """

    facts: RunFacts
    search: Mapping[str, Any]
    settings: Mapping[str, Any]
    started: str
    parameters: Mapping[str, Parameter]
    names: tuple[str, ...]
    table: Table
    genes: Array
    losses: Array
    values: Table
    workers: Table
    events: Table

    @property
    def num_objectives(self) -> int:
        return int(self.losses.shape[1])

    @property
    def outcome(self) -> Array:
        return self.table["outcome"]

    @property
    def usable(self) -> Array:
        """Which rows are evaluations that gave finite losses."""
        return np.asarray((self.outcome == "done") & np.isfinite(self.losses).all(axis=1))

    @property
    def elapsed_s(self) -> float:
        """Seconds of running up to the last thing that is known."""
        ends = self.events["time_s"][np.isin(self.events["kind"], CLOSING)]
        times = (ends, self.table["time_s"], self.values["time_s"])
        return float(max((np.nanmax(some) for some in times if len(some)), default=0.0))

    @property
    def averages(self) -> bool:
        """Whether evaluations of one configuration count as one, by their mean."""
        return self.settings.get("duplicates") == "average"

    def config(self, row: int) -> dict[str, Value]:
        """The parameters of the candidate in `row`; those that do not apply are left out."""
        return configuration(self.parameters, self.names, self.genes[row])


def is_search(run: RunTables) -> bool:
    return isinstance(run.identity.get("search"), Mapping)


def read_search(run: RunTables) -> SearchRecords:
    """Read all tables of a run for which `is_search` holds."""
    search = run.identity["search"]
    table = run.table("candidate")
    table = chosen(table, np.argsort(table["time_s"], kind="stable"))
    parameters = read_parameters(search["space"])
    names = gene_names(parameters, table)
    constants = [name for name in parameters if name not in names]
    resolved = run.identity.get("config_resolved") or {}
    return SearchRecords(
        facts=read_facts(run),
        search=search,
        settings=resolved.get("search") or {},
        started=str(run.identity.get("start_time_utc", "")),
        parameters={name: parameters[name] for name in (*names, *constants)},
        names=names,
        table=table,
        genes=gene_table(parameters, names, table),
        losses=_losses(table, int(search.get("num_objectives", 1))),
        values=run.table("candidate_value"),
        workers=run.table("search_worker"),
        events=run.table("event"),
    )


def numbers(table: Table, name: str) -> Array:
    """A column of numbers as float64, NaN where it is missing."""
    if name not in table:
        return np.full(len(table["number"]), np.nan)
    return table[name].astype(np.float64)


def _losses(table: Table, num_objectives: int) -> Array:
    names = ("loss", *(f"loss_{place}" for place in range(1, num_objectives)))
    return np.stack([numbers(table, name) for name in names], axis=1)
