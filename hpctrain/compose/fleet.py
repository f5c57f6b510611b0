"""`hpctrain energy fleet`: what all runs below some directories used, and who used it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from hpctrain.cluster.jobs.slurm import accounted
from hpctrain.cluster.launcher import read_launcher
from hpctrain.compose.energy_report import terms_from
from hpctrain.compose.files import write_all
from hpctrain.compose.fleet_read import WhatIf, find_runs, read_one, remembered
from hpctrain.errors import HpctrainError, MeteringError
from hpctrain.metering.steps import read_steps
from hpctrain.report.console import make_console, seen_by
from hpctrain.report.energies.cells import Section
from hpctrain.report.energies.terminal import print_section
from hpctrain.report.fleet.accounting import Allocation, by_job, parse_export, parse_rows
from hpctrain.report.fleet.fleet import Fleet
from hpctrain.report.fleet.long_form import write_fleet_csv
from hpctrain.report.fleet.rows import (
    EVERY_BY,
    By,
    FleetRun,
    Skipped,
    by_energy,
    with_names,
)
from hpctrain.report.fleet.sections import facts, headline, sections
from hpctrain.report.fleet.slurm import compare_with_slurm, with_accounts

JOBS_AT_ONCE = 500  # in one call of sacct: a command line has a longest length
IN_TEXT: tuple[By, ...] = ("user",)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options of the command; None or empty: not given.

    Attributes:
        by: the sums that are shown; else all on the page, and those by user in text.
        sacct: an export of it.
        prices, threshold: for the what-if.
    """

    csv: Path | None = None
    html: Path | None = None
    by: tuple[By, ...] = ()
    sacct: Path | None = None
    prices: Path | None = None
    threshold: float | None = None


def report_fleet(roots: Sequence[Path], wanted: Wanted, given: Mapping[str, Any]) -> int:
    """Report on all runs below `roots`. Returns the exit code.

    Args:
        roots: at least one.
        wanted: in which forms, with what beside it.
        given: terms in place of those of the runs, as in `report_energy`.

    Raises:
        HpctrainError: if there is no run, no run can be read, or an option cannot be used.
    """
    terms_from(given)({})  # what is wrong for all runs is said once, and at once
    what_if = _what_if(wanted)
    exported = None if wanted.sacct is None else _exported(wanted.sacct)
    run_dirs, closed = find_runs(roots)
    terms_of = remembered(terms_from(given))
    found = [read_one(run_dir, terms_of, what_if) for run_dir in run_dirs]
    runs = by_energy(with_names([one for one in found if isinstance(one, FleetRun)]))
    skipped = [*(one for one in found if isinstance(one, Skipped)), *closed]
    if not runs:
        first = f"{skipped[0].run_dir}: {skipped[0].why}"
        raise HpctrainError(f"none of {len(skipped)} directories can be read; {first}")
    rows = _asked(runs) if exported is None else exported
    accounts = by_job(rows)
    named = tuple(with_accounts(runs, accounts))
    compared = tuple(compare_with_slurm(named, accounts)) if rows or exported is not None else None
    prices = str(wanted.prices or "")
    where = tuple(map(str, roots))
    _tell(Fleet(where, named, tuple(skipped), compared, prices), wanted)
    return 0


def _what_if(wanted: Wanted) -> WhatIf | None:
    if wanted.prices is None:
        if wanted.threshold is not None:
            raise MeteringError(f"--threshold {wanted.threshold:g} needs --prices FILE.csv")
        return None
    return WhatIf(read_steps(wanted.prices), wanted.threshold)


def _exported(path: Path) -> list[Allocation]:
    try:
        return parse_export(path.read_text(encoding="utf-8"), path)
    except (OSError, UnicodeDecodeError) as error:
        raise MeteringError(f"cannot read {path}: {error}") from error


def _asked(runs: Sequence[FleetRun]) -> list[Allocation]:
    """What sacct says here; nothing where there is none."""
    jobs = sorted({job.name or job.id for run in runs for job in run.origin.jobs})
    rows: list[dict[str, str]] = []
    for begin in range(0, len(jobs), JOBS_AT_ONCE):
        rows += accounted(jobs[begin : begin + JOBS_AT_ONCE])
    return parse_rows(rows)


def _tell(fleet: Fleet, wanted: Wanted) -> None:
    written = _write_files(fleet, wanted)
    launcher = read_launcher(os.environ)
    console = make_console(seen_by(launcher.terminal, launcher.is_rank))
    print_section(console, Section(headline(fleet), tuple(facts(fleet))), first=True)
    for section in _runs_first(sections(fleet, wanted.by or IN_TEXT)):
        print_section(console, section)
    for path in written:
        console.print(f"written to {path}", soft_wrap=True, markup=False)


def _runs_first(found: Iterator[Section]) -> list[Section]:
    """Of many rows the last ones are seen: the sums."""
    return sorted(found, key=lambda section: section.title != "Runs")


def _write_files(fleet: Fleet, wanted: Wanted) -> list[Path]:
    """All contents are made before the first file is touched."""
    contents: list[tuple[Path, bytes]] = []
    if wanted.csv is not None:
        text = StringIO()
        write_fleet_csv(fleet, text)
        contents.append((wanted.csv, text.getvalue().encode()))
    if wanted.html is not None:
        from hpctrain.report.fleet.page import render_fleet

        contents.append((wanted.html, render_fleet(fleet, wanted.by or EVERY_BY).encode()))
    return write_all(contents)
