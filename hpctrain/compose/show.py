"""`hpctrain show`: opens a run, says what happened in it, and draws it if asked to."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from hpctrain.cluster.launcher import read_launcher
from hpctrain.errors import HpctrainError
from hpctrain.report.console import make_console, seen_by
from hpctrain.report.facts import read_facts
from hpctrain.report.searches.records import is_search
from hpctrain.report.searches.show import print_search_run
from hpctrain.report.show import print_run
from hpctrain.report.state import LifeSign
from hpctrain.report.tables import RunTables
from hpctrain.storage.layout import RunLayout
from hpctrain.storage.read import Run, open_run

LOCKS = Path("/proc/locks")  # Linux: looking there, unlike trying a lock, disturbs no writer


def show(run_dir: Path, plot: bool, fmt: str, top: int = 10, html: bool = False) -> int:
    """Print what happened in `run_dir`.

    Args:
        run_dir: of a training or a search.
        plot: also draw it, as `show.png` or `show.svg` and further files `show-*`.
        fmt: png or svg.
        top: how many candidates of a search are shown.
        html: also write a search as one page, `show.html`.

    Raises:
        HpctrainError: if this is no run, or something to draw with is asked for and missing.
    """
    launcher = read_launcher(os.environ)
    console = make_console(seen_by(launcher.terminal, launcher.is_rank))
    run = open_run(run_dir)
    if is_search(run):
        print_search_run(run, life_sign(run), console, top)
    else:
        print_run(run, life_sign(run), console)
    if plot:
        from hpctrain.report.plot import plot_search, plot_training

        paths = plot_search(run, fmt) if is_search(run) else plot_training(run, fmt)
        said = f"drawn in {', '.join(map(str, paths))}" if paths else "there is nothing to draw"
        console.print(f"\n{said}", soft_wrap=True, markup=False)
    if html:
        _write_page(run, top, console)
    return 0


def _write_page(run: Run, top: int, console: Console) -> None:
    if not is_search(run):
        raise HpctrainError(f"{run.run_dir} holds a training; only searches have a page")
    from hpctrain.report.searches.page import write_page

    path = write_page(run, life_sign(run), top)
    console.print(f"\nwritten to {path}", soft_wrap=True, markup=False)


def life_sign(run: RunTables) -> LifeSign:
    """What can be seen from here of the processes that write `run`."""
    layout = RunLayout(run.run_dir)
    logs = [path for path in map(layout.log, layout.logged_ranks()) if path.exists()]
    newest_s = max((path.stat().st_mtime for path in logs), default=0.0)
    return LifeSign(
        writing=bool(_locked_inodes() & {path.stat().st_ino for path in logs}),
        here=LOCKS.exists() and platform.node() in read_facts(run).hosts,
        silent_s=datetime.now(UTC).timestamp() - newest_s,
    )


def _locked_inodes() -> set[int]:
    """Inodes of the files that any process of this host holds locked."""
    if not LOCKS.exists():
        return set()
    lines = LOCKS.read_text().splitlines()
    # 1: FLOCK ADVISORY WRITE 713 fe:00:1324 0 EOF
    return {int(field.rpartition(":")[2]) for line in lines for field in line.split()[-3:-2]}
