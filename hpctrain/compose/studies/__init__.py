"""`hpctrain compare`: methods on profiles, data and budgets, over seeds, in virtual time."""

from __future__ import annotations

import json
import os
from pathlib import Path

from hpctrain.cluster.launcher import read_launcher
from hpctrain.compose.studies.compare import Comparison, failures_of
from hpctrain.compose.studies.results import alone_in
from hpctrain.config.study import Study, read_study
from hpctrain.report.console import make_console, seen_by
from hpctrain.report.studies.terminal import print_study
from hpctrain.storage.files import write_whole

DOCUMENT, PAGE = "study.json", "study.html"


def compare(path: str, jobs: int | None, html: bool, quiet: bool) -> int:
    """Run the study, print its tables, write `study.json`; the exit code: 1 if a run failed.

    Raises:
        HpctrainError: if the study makes no sense, or something cannot be written.
    """
    study = read_study(path)
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
    folder = Path(study.run_dir)
    text = json.dumps(records.document(), indent=1, ensure_ascii=False, allow_nan=False)
    write_whole(folder / DOCUMENT, text.encode() + b"\n")
    print_study(records, console)
    if html:
        from hpctrain.report.studies.page import write_page

        console.print(f"page: {write_page(records, folder / PAGE)}", soft_wrap=True, markup=False)
    failures = (*comparison.failed_trials, *failures_of(records.outcomes.values()))
    for failure in dict.fromkeys(failures):
        console.print(f"failed: {failure}", soft_wrap=True, markup=False)
    return int(bool(failures))
