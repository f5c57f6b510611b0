"""How much of the ranks' time goes into evaluations, if these are unequal and one rank is slow.

Every evaluation sleeps; between candidates the time varies tenfold, and the last of 4 ranks is ten
times slower. Propulate, where it is installed, runs the same.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from report import print_result

HERE = Path(__file__).parent
RANKS, EVALUATIONS = 4, 1600
PEERS = 400  # of propulate: its share of waiting does not depend on it, and it takes long
PROPULATE = os.environ.get("HPCTRAIN_PROPULATE_PYTHON") or str(
    HERE.parent / ".venv" / "propulate" / "bin" / "python"
)


def main() -> None:
    rows, notes = [], []
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        ours = _run(sys.executable, "ours_sleeping.py", Path(scratch) / "ours", EVALUATIONS)
        rows.append(_row("hpctrain", ours))
        figures["utilisation"] = round(_utilisation(ours), 4)
        figures["propulate"] = None
        if Path(PROPULATE).exists():
            theirs = _run(PROPULATE, "propulate_sleeping.py", Path(scratch) / "p", PEERS // RANKS)
            rows.append(_row("Propulate 1.2", theirs))
            figures["propulate"] = round(_utilisation(theirs), 4)
        else:
            notes.append("propulate is not installed: `make upstream` makes its environment")
    print_result(
        f"{RANKS} ranks, one ten times slower, {EVALUATIONS} evaluations that vary tenfold",
        ["what", "seconds", "evaluations per rank", "busy"],
        rows,
        figures,
        notes,
    )


def _run(python: str, program: str, *arguments: object) -> list[dict[str, Any]]:
    command = [python, "-m", "hpctrain", "launch", "-n", str(RANKS), HERE / "peers" / program]
    answer = subprocess.run(
        [*map(str, command), *map(str, arguments)], capture_output=True, text=True, check=False
    )
    lines = [line.partition("COST ")[2] for line in answer.stdout.splitlines() if "COST " in line]
    if answer.returncode or len(lines) != RANKS:
        raise SystemExit(f"{program} failed:\n{answer.stdout}\n{answer.stderr}")
    return [json.loads(line) for line in lines]


def _utilisation(costs: list[dict[str, Any]]) -> float:
    return sum(c["busy_s"] for c in costs) / (RANKS * max(c["wall_s"] for c in costs))


def _row(what: str, costs: list[dict[str, Any]]) -> list[str]:
    counts = ", ".join(str(cost["evaluations"]) for cost in sorted(costs, key=lambda c: c["rank"]))
    seconds = max(cost["wall_s"] for cost in costs)
    return [what, f"{seconds:.1f}", counts, f"{100 * _utilisation(costs):.1f} %"]


if __name__ == "__main__":
    main()
