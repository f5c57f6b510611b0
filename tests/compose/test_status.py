"""How a run stands by its files, by squeue and by sacct together."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpctrain.cluster.jobs.slurm import Queued, queued
from hpctrain.compose.status import as_slurm_says
from hpctrain.report.state import RunState

RUNNING = RunState("running", "")
SILENT = RunState("killed", "it ended without a word; go on with --resume")
SAVED = RunState("stopped", "SIGUSR1; go on with --resume")
FINISHED = RunState("finished", "the budget is spent")
FAILED = [{"State": "TIMEOUT"}, {"State": "FAILED"}]


def in_queue(state: str) -> Queued:
    return Queued(state, "None", "1:00", "n1")


@pytest.mark.parametrize(
    ("by_files", "waiting", "rows", "told"),
    [
        (SILENT, in_queue("RUNNING"), [{"State": "RUNNING"}], RUNNING),  # a round takes minutes
        (RUNNING, None, FAILED, RunState("killed", "its job ended as FAILED; go on with --resume")),
        (SILENT, None, FAILED, RunState("killed", "its job ended as FAILED; go on with --resume")),
        (SAVED, in_queue("PENDING"), [], RunState("stopped", "SIGUSR1; its job waits for the next "
                                                  "turn")),
        (RUNNING, in_queue("PENDING"), [], RunState("stopped", "it ended; its job waits for the "
                                                    "next turn")),
        (RUNNING, in_queue("RUNNING"), [], RUNNING),
        (RUNNING, None, [], RUNNING),
        (RUNNING, None, [{"State": "RUNNING"}], RUNNING),
        (SILENT, None, [], SILENT),
        (SAVED, in_queue("RUNNING"), [], SAVED),  # it is ending just now
        (SAVED, None, FAILED, SAVED),
        (FINISHED, in_queue("PENDING"), FAILED, FINISHED),
    ],
)  # fmt: skip
def test_slurm_knows_what_files_only_let_guess(
    by_files: RunState, waiting: Queued | None, rows: list[dict[str, str]], told: RunState
) -> None:
    assert as_slurm_says(by_files, waiting, rows) == told


def test_a_heterogeneous_job_has_the_hosts_of_all_its_components(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    squeue = tmp_path / "squeue"
    squeue.write_text("#!/bin/sh\necho 'RUNNING|None|9:00|n1'\necho 'RUNNING|None|9:00|n[2-3]'\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert queued("46") == Queued("RUNNING", "None", "9:00", "n1,n[2-3]")
