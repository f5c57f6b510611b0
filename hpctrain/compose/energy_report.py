"""`hpctrain energy report`: what the runs in some directories used, in one form or another."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any

from hpctrain.cluster.launcher import read_launcher
from hpctrain.compose.files import write_all
from hpctrain.compose.show import life_sign
from hpctrain.metering.money import Terms
from hpctrain.metering.terms import Given, read_terms
from hpctrain.report.console import make_console, seen_by
from hpctrain.report.energies.long_form import write_csv
from hpctrain.report.energies.plain import energy_json
from hpctrain.report.energies.run import RunEnergy, read_run_energy
from hpctrain.report.energies.terminal import print_energies, print_headlines
from hpctrain.storage.read import open_run

NO_TERM = "none"  # on the command line: leave out what the run's settings say


@dataclass(frozen=True, slots=True)
class Wanted:
    """The forms of a report; text if there is no other.

    Attributes:
        as_json: on standard output.
        csv, html, hdf5: files to be written.
        top: how many of the most expensive candidates are shown.
    """

    as_json: bool = False
    csv: Path | None = None
    html: Path | None = None
    hdf5: Path | None = None
    top: int = 10

    @property
    def files(self) -> bool:
        return any(path is not None for path in (self.csv, self.html, self.hdf5))


def report_energy(run_dirs: Sequence[Path], wanted: Wanted, given: Mapping[str, Any]) -> int:
    """Report on the runs in `run_dirs`. Returns the exit code.

    Args:
        run_dirs: at least one; the first is the one that others are compared to.
        wanted: in which forms.
        given: terms in place of those of the runs, named as in the section `[energy]`; a text is
            a number, the path of a CSV file, or "none".

    Raises:
        HpctrainError: if one is no run, a term cannot be used or does not cover a run, something
            to draw with is missing, or a file cannot be written.
    """
    runs = _labelled([_read(run_dir, given) for run_dir in run_dirs])
    written = _write_files(runs, wanted)
    if wanted.as_json:
        print(energy_json(runs))
        return 0
    launcher = read_launcher(os.environ)
    console = make_console(seen_by(launcher.terminal, launcher.is_rank))
    if not wanted.files:
        print_energies(runs, wanted.top, console)
        return 0
    print_headlines(runs, console)
    for path in written:
        console.print(f"written to {path}", soft_wrap=True, markup=False)
    return 0


def _read(run_dir: Path, given: Mapping[str, Any]) -> RunEnergy:
    run = open_run(run_dir)
    return read_run_energy(run, life_sign(run), terms_from(given), tuple(sorted(given)))


def terms_from(given: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], Terms]:
    """From a run's section `[energy]` to its terms; those in `given` go before it."""

    def terms(settings: Mapping[str, Any]) -> Terms:
        said = {**settings, **given}
        names = ("tariff", "carbon", "carbon_market")
        known: dict[str, Given] = {name: _number(said.get(name)) for name in names}
        return read_terms(
            known["tariff"], str(said.get("currency") or "EUR"), known["carbon"],
            known["carbon_market"], float(said.get("pue") or 1.0),
        )  # fmt: skip

    return terms


def _number(text: Given) -> Given:
    """A number if it is one, else the path of a file."""
    if text is None or text == NO_TERM:
        return None
    try:
        return float(text)
    except ValueError:
        return text


def _labelled(runs: Sequence[RunEnergy]) -> list[RunEnergy]:
    """With names that differ: runs of one name are told apart by their directories."""
    names = [run.label for run in runs]
    found = []
    for run in runs:
        alike = names.count(run.label) > 1
        found.append(replace(run, label=f"{run.label} in {run.run_dir}") if alike else run)
    return found


def _write_files(runs: Sequence[RunEnergy], wanted: Wanted) -> list[Path]:
    """All contents are made before the first file is touched."""
    contents: list[tuple[Path, bytes]] = []
    if wanted.csv is not None:
        text = StringIO()
        write_csv(runs, text)
        contents.append((wanted.csv, text.getvalue().encode()))
    if wanted.html is not None:
        from hpctrain.report.energies.page import render_energies

        contents.append((wanted.html, render_energies(runs, wanted.top).encode()))
    if wanted.hdf5 is not None:
        from hpctrain.compose.energy_perun import perun_bytes

        contents.append((wanted.hdf5, perun_bytes(runs)))
    return write_all(contents)
