"""`hpctrain doctor`: what of this machine will work, what will not, and the way out."""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hpctrain.cluster.check import Check
from hpctrain.cluster.energy_checks import energy_checks
from hpctrain.cluster.launcher import read_launcher
from hpctrain.cluster.machine_checks import device_checks, disk_check, shared_memory_check
from hpctrain.cluster.mpirun import query_mpi
from hpctrain.cluster.software_checks import (
    Cores,
    launcher_check,
    mpi_checks,
    python_check,
    threads_check,
    torch_check,
)
from hpctrain.cluster.srun import srun_check

_COLOURS = {"ok": "green", "note": "yellow", "problem": "red bold"}


def doctor(as_json: bool) -> int:
    """Examines this machine and prints what it finds.

    Started by mpirun or srun, all ranks examine, and one prints.

    Returns:
        The exit code: 1 if there is a problem, else 0.
    """
    checks = tuple(examine())
    if read_launcher(os.environ).speaks:
        print(as_json_text(checks)) if as_json else print_table(checks)
    return int(has_problem(checks))


def examine() -> Iterator[Check]:
    """All checks. MPI is asked in a process of its own: a broken one cannot hang or crash this."""
    launcher = read_launcher(os.environ)
    yield python_check()
    yield torch_check()
    yield threads_check(os.environ, launcher, _cores())
    yield launcher_check(launcher)
    facts = query_mpi(os.environ, start=True)
    yield from mpi_checks(facts, os.environ)
    srun = srun_check(facts, os.environ)
    if srun is not None:
        yield srun
    yield from device_checks()
    yield from energy_checks()
    yield shared_memory_check()
    yield disk_check()


def has_problem(checks: Sequence[Check]) -> bool:
    return any(check.status == "problem" for check in checks)


def as_json_text(checks: Sequence[Check]) -> str:
    """`healthy`, and `checks` with name, status, found, hint and details."""
    report = {"healthy": not has_problem(checks), "checks": [asdict(check) for check in checks]}
    return json.dumps(report, indent=2)


def print_table(checks: Sequence[Check]) -> None:
    """A line for each check, and below it the way out."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in checks:
        colour = _COLOURS[check.status]
        hint = f"\n[cyan]→ {escape(check.hint)}[/cyan]" if check.hint else ""
        status = f"[{colour}]{check.status}[/{colour}]"
        table.add_row(escape(check.name), status, escape(check.found) + hint)
    Console(highlight=False).print(table)


def _cores() -> Cores:
    return Cores(mine=len(os.sched_getaffinity(0)), all=os.cpu_count() or 1)
