"""`hpctrain energy report`: what the run in a directory used."""

from __future__ import annotations

import os
from pathlib import Path

from hpctrain.cluster.launcher import read_launcher
from hpctrain.report.console import make_console, seen_by
from hpctrain.report.energy import energy_json, print_energy, read_energy
from hpctrain.storage.read import open_run


def report_energy(run_dir: Path, as_json: bool) -> int:
    """Print it, for people or as JSON. Returns the exit code.

    Raises:
        RunStoreError: if there is no run.
    """
    run = open_run(run_dir)
    hosts = read_energy(run)
    if as_json:
        print(energy_json(run, hosts))
        return 0
    launcher = read_launcher(os.environ)
    events = run.table("event")
    reasons = [str(text) for text in events["text"][events["kind"] == "energy"]]
    console = make_console(seen_by(launcher.terminal, launcher.is_rank))
    print_energy(run_dir.name, hosts, reasons, console)
    return 0
