"""A disk that stays full: the search goes on, and what it found comes back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hpctrain.compose.search_past import candidate_rows

SCRIPT = """
import resource, signal, sys
import hpctrain as ht

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
result = ht.search(
    lambda candidate: candidate["x"], {"x": (0.0, 1.0)}, stop=300, run_dir=sys.argv[1],
    progress="none",
)
print("found", result.evaluations, result.best.loss < 0.1)
"""


def test_a_full_disk_does_not_take_the_result(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    answer = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(run_dir)], capture_output=True, text=True, timeout=60
    )
    assert answer.stdout == "found 300 True\n"
    assert answer.returncode == 0
    assert answer.stderr.count("rows are kept in memory until the disk takes them") == 1
    assert "the last rows are lost" in answer.stderr
    assert 0 < len(list(candidate_rows(run_dir))) < 300
