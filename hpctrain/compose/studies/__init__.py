"""`hpctrain compare`: methods on profiles, data and budgets, over seeds, in virtual time."""

from __future__ import annotations

import json
import os
from pathlib import Path

from rich.console import Console

from hpctrain.cluster.launcher import read_launcher
from hpctrain.compose.studies.compare import Comparison, failures_of
from hpctrain.compose.studies.results import alone_in
from hpctrain.config.study import Study, read_study
from hpctrain.report.console import make_console, seen_by
from hpctrain.report.studies.markdown import markdown_of
from hpctrain.report.studies.records import StudyRecords
from hpctrain.report.studies.terminal import print_study
from hpctrain.storage.files import write_whole

DOCUMENT, TEXT, PAGE = "study.json", "study.md", "study.html"


def compare(path: str, jobs: int | None, html: bool, quiet: bool, finished: bool = False) -> int:
    """Run the study, print its tables, write `study.json`; the exit code: 1 if a run failed.

    With `finished` nothing is run: what is there of it is shown, whole places only.

    Raises:
        HpctrainError: if the study makes no sense, or something cannot be written.
    """
    study = read_study(path)
    if finished:
        return _show(study, html)
    with alone_in(Path(study.run_dir)):
        return _compare(study, jobs, html, quiet)


def _compare(study: Study, jobs: int | None, html: bool, quiet: bool) -> int:
    launcher = read_launcher(os.environ)
    console = make_console(seen_by(launcher.terminal, launcher.is_rank))
    comparison = Comparison(study)
    if jobs is not None:
        comparison.jobs = jobs
    if not quiet:
        comparison.seen = lambda done, total, what: console.print(
            f"[{done}/{total}] {what}", soft_wrap=True, markup=False, highlight=False
        )
    records = comparison.run()
    _tell(records, console, html)
    failures = (*comparison.failed_trials, *failures_of(records.outcomes.values()))
    for failure in dict.fromkeys(failures):
        console.print(f"failed: {failure}", soft_wrap=True, markup=False)
    return int(bool(failures))


def _show(study: Study, html: bool) -> int:
    launcher = read_launcher(os.environ)
    console = make_console(seen_by(launcher.terminal, launcher.is_rank))
    records = Comparison(study, only_read=True).finished()
    if records is None:
        console.print(f"nothing is finished yet in {study.run_dir}", soft_wrap=True, markup=False)
        return 0
    _tell(records, console, html)
    return 0


def _tell(records: StudyRecords, console: Console, html: bool) -> None:
    folder = Path(records.study.run_dir)
    document = json.dumps(records.document(), indent=1, ensure_ascii=False, allow_nan=False)
    write_whole(folder / DOCUMENT, document.encode() + b"\n")
    write_whole(folder / TEXT, markdown_of(records).encode())
    print_study(records, console)
    if html:
        from hpctrain.report.studies.page import write_page

        console.print(f"page: {write_page(records, folder / PAGE)}", soft_wrap=True, markup=False)
