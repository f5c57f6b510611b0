"""Finding the runs below directories, and reading what each of them used."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hpctrain.compose.show import life_sign
from hpctrain.compose.status import parts_of, state_of
from hpctrain.compose.tco import intervals
from hpctrain.errors import HpctrainError, MeteringError
from hpctrain.metering.money import Terms
from hpctrain.metering.steps import Steps
from hpctrain.metering.tco import Machine
from hpctrain.metering.tco_run import as_it_was, paused_above, recorded
from hpctrain.report.energies.run import RunEnergy, TermsOf, read_run_energy
from hpctrain.report.fleet.paused import Paused
from hpctrain.report.fleet.rows import FleetRun, Job, Origin, Skipped, fleet_run
from hpctrain.report.searches.records import is_search
from hpctrain.report.tables import RunTables, Table
from hpctrain.storage.layout import RunLayout
from hpctrain.storage.read import Run, open_run

# What somebody else's files may lead to: run.json is JSON of any shape, and tables may lack columns
UNREADABLE = (HpctrainError, OSError, ValueError, LookupError, TypeError, AttributeError)
SIMULATED = "it was simulated: nothing was used"
TERMS = ("tariff", "currency", "carbon", "carbon_market", "pue")
ALWAYS_ON = Machine(psi=0.0)  # nothing but energy is to be paid, and a restart is free


@dataclass(frozen=True, slots=True)
class WhatIf:
    """Prices, and the threshold for runs; None: each has its own, or none."""

    prices: Steps
    threshold: float | None


class _Once:
    """A run whose tables are read from its files once, however many ask for them."""

    def __init__(self, run: Run) -> None:
        self.run_dir, self.identity, self.ranks = run.run_dir, run.identity, run.ranks
        self._run = run
        self._tables: dict[str, Table] = {}

    def table(self, kind: str) -> Table:
        if kind not in self._tables:
            self._tables[kind] = self._run.table(kind)
        return self._tables[kind]


def find_runs(roots: Sequence[Path]) -> tuple[list[Path], list[Skipped]]:
    """The run directories below `roots`, each once, and directories that cannot be looked into.

    Links are not followed, and a run is not looked into.

    Raises:
        HpctrainError: if one of `roots` is no directory, or no run is below it.
    """
    found: dict[Path, Path] = {}
    closed: list[Skipped] = []
    for root in roots:
        if not root.is_dir():
            raise HpctrainError(f"{root} is no directory, so there are no runs in it")
        before = len(closed)
        mine = list(_below(root, closed))
        if not mine and len(closed) == before:
            raise HpctrainError(f"{root}: neither it nor a directory below it holds a run.json")
        for run_dir in mine:
            found.setdefault(run_dir.resolve(), run_dir)
    return list(found.values()), closed


def _below(root: Path, closed: list[Skipped]) -> Iterator[Path]:
    def refused(error: OSError) -> None:
        closed.append(Skipped(str(error.filename), f"cannot be looked into: {error.strerror}"))

    for here, names, files in os.walk(root, onerror=refused):
        names.sort()
        if RunLayout(Path(here)).identity.name in files:
            names.clear()
            yield Path(here)


def read_one(run_dir: Path, terms_of: TermsOf, what_if: WhatIf | None) -> FleetRun | Skipped:
    """One run, or why there is none. Terms that do not suit it leave it without a bill."""
    try:
        return _read(_Once(open_run(run_dir)), terms_of, what_if)
    except UNREADABLE as error:
        kind = "" if isinstance(error, HpctrainError | OSError) else f"{type(error).__name__}: "
        return Skipped(str(run_dir), f"{kind}{error}")


def _read(run: RunTables, terms_of: TermsOf, what_if: WhatIf | None) -> FleetRun | Skipped:
    life, bill_error = life_sign(run), ""
    try:
        energy = read_run_energy(run, life, terms_of)
    except MeteringError as error:
        bill_error = str(error).removeprefix(f"{run.run_dir}: ")
        energy = replace(read_run_energy(run, life, lambda _: Terms()), costs=None)
    if energy.is_imagined:
        return Skipped(str(run.run_dir), SIMULATED)
    paused = None if what_if is None else _paused(run, energy, what_if)
    return fleet_run(energy, state_of(run, life).standing, _origin(run, energy), bill_error, paused)


def _origin(run: RunTables, energy: RunEnergy) -> Origin:
    parts = [part for part in parts_of(run) if "id" in part]
    jobs = {part["id"]: Job(part["id"], _name_in_array(part)) for part in parts}
    last = parts[-1] if parts else {}
    return Origin(
        _owner(run.run_dir), last.get("account", ""), last.get("partition", ""),
        _method(run, energy), tuple(jobs.values()),
    )  # fmt: skip


def _name_in_array(part: Mapping[str, str]) -> str:
    return f"{part['array']}_{part['task']}" if "array" in part and "task" in part else ""


def _owner(run_dir: Path) -> str:
    number = run_dir.stat().st_uid
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _method(run: RunTables, energy: RunEnergy) -> str:
    if is_search(run):
        name = str(run.identity["search"].get("propagator", ""))
        return f"search: {name}" if name else "search"
    return f"training: {energy.facts.method}" if energy.facts.method else "training"


def _paused(run: RunTables, energy: RunEnergy, what_if: WhatIf) -> Paused:
    own = energy.settings.get("pause_above")
    threshold = what_if.threshold if what_if.threshold is not None else own
    unit, quality = what_if.prices.unit, energy.total.quality
    if threshold is None:
        why = "it has no energy.pause_above, and --threshold is not given"
        return Paused(unit, None, None, None, quality, why)
    try:
        record = recorded(intervals(run))
        was = as_it_was(record, what_if.prices, 0.0, 0.0)
        then = paused_above(record, what_if.prices, float(threshold), ALWAYS_ON, 0.0)
    except MeteringError as error:
        return Paused(unit, float(threshold), None, None, quality, str(error))
    return Paused(unit, float(threshold), was, then, quality)


def remembered(make: TermsOf) -> TermsOf:
    """The same, but each file is read once however many runs name it."""
    known: dict[tuple[str, ...], Terms | MeteringError] = {}

    def terms_of(settings: Mapping[str, Any]) -> Terms:
        key = tuple(repr(settings.get(name)) for name in TERMS)
        if key not in known:
            known[key] = _made(make, settings)
        found = known[key]
        if isinstance(found, MeteringError):
            raise found
        return found

    return terms_of


def _made(make: Callable[[Mapping[str, Any]], Terms], settings: Mapping[str, Any]) -> Any:
    try:
        return make(settings)
    except MeteringError as error:
        return error
