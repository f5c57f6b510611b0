"""The mailbox over MPI keeps the promises of all mailboxes; real ranks, started in a subprocess."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("mailbox_program.py")
TIMEOUT_S = 120


@pytest.mark.mpi
@pytest.mark.parametrize(
    "options", [[], ["--small-pieces", "--backwards"]], ids=["whole", "in small pieces"]
)
def test_promises_are_kept_over_mpi(options: list[str]) -> None:
    command = [sys.executable, "-m", "hpctrain.cli", "launch", "-n", "3", str(PROGRAM), *options]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    assert answer.returncode == 0, answer.stderr
    assert "all promises kept" in answer.stdout
