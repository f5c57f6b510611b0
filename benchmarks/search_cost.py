"""What a search costs besides the objective: CPU time of all ranks per evaluation, beside peers.

The objective is free, the log (ours), checkpoint (Propulate), journal (Optuna) and history
(libEnsemble) are on. What is counted is the CPU time of all ranks from the first candidate to the
last; loading packages and, for us, the fold at the end are not (it stands in a row of its own).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from report import print_result

HERE = Path(__file__).parent
RANKS = 4
LONG = 100_000
PROPULATE = os.environ.get("HPCTRAIN_PROPULATE_PYTHON") or str(
    HERE.parent / ".venv" / "propulate" / "bin" / "python"
)
Costs = list[dict[str, Any]]


def main() -> None:
    rows: list[list[str]] = []
    figures: dict[str, Any] = {}
    notes: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        ours = _ours(Path(scratch), rows, figures)
        _propulate(Path(scratch), rows, figures, notes, ours)
        _optuna(Path(scratch), rows, figures, notes, ours)
        _libensemble(Path(scratch), rows, figures, notes, ours)
    print_result(
        f"CPU time of a search with a free objective, 2 parameters, {RANKS} ranks",
        ["what", "evaluations", "CPU ms per evaluation", "ratio to ours", "MB per rank at the end"],
        rows,
        figures,
        notes,
    )


def _ours(scratch: Path, rows: list[list[str]], figures: dict[str, Any]) -> dict[int, float]:
    per_evaluation: dict[int, float] = {}
    for evaluations in (1000, 1000 * RANKS, 2500 * RANKS, LONG):
        costs = _run(
            sys.executable, HERE / "peers" / "ours.py", scratch / f"r{evaluations}", evaluations
        )
        ms = 1e3 * _sum(costs, "loop_s") / evaluations
        per_evaluation[evaluations] = ms
        rows.append(_row("hpctrain, auto", evaluations, ms, ms, costs))
        if evaluations == LONG:
            first, last = _mean(costs, "first_s"), _mean(costs, "last_s")
            close_ms = 1e3 * _sum(costs, "close_s") / evaluations
            rows.append(_row("  its fold at the end", evaluations, close_ms, ms, costs))
            figures["cpu_ms_per_eval"] = round(ms, 4)
            figures["growth"] = round(last / first, 3)
            figures["rss_mb_at_1000_per_rank"] = round(_rss(costs, 1), 1)
            figures["rss_mb_at_end"] = round(_rss(costs, -1), 1)
    return per_evaluation


def _propulate(
    scratch: Path, rows: list[list[str]], figures: dict[str, Any], notes: list[str],
    ours: dict[int, float],
) -> None:  # fmt: skip
    for each in (1000, 2500):
        evaluations, key = each * RANKS, f"vs_propulate_{each}"
        if not Path(PROPULATE).exists():
            figures[key] = None
            notes.append("propulate is not installed: `make upstream` makes its environment")
            continue
        where = scratch / f"p{evaluations}"
        costs = _run(PROPULATE, HERE / "peers" / "propulate_cost.py", where, each)
        ms = 1e3 * _sum(costs, "loop_s") / evaluations
        figures[key] = round(ms / ours[evaluations], 1)
        rows.append(_row("Propulate 1.2, checkpoints", evaluations, ms, ours[evaluations], costs))


def _optuna(
    scratch: Path, rows: list[list[str]], figures: dict[str, Any], notes: list[str],
    ours: dict[int, float],
) -> None:  # fmt: skip
    figures["vs_optuna_tpe_journal"] = None
    if find_spec("optuna") is None:
        notes.append("optuna is not installed: pip install 'hpctrain[bench]'")
        return
    command = [
        sys.executable,
        HERE / "peers" / "optuna_cost.py",
        scratch / "journal",
        1000 // RANKS,
    ]
    jobs = [
        subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True)
        for _ in range(RANKS)
    ]
    costs = [cost for job in jobs for cost in _costs(job.communicate()[0])]
    ms = 1e3 * _sum(costs, "loop_s") / 1000
    figures["vs_optuna_tpe_journal"] = round(ms / ours[1000], 1)
    rows.append(_row("Optuna TPE, journal file", 1000, ms, ours[1000], costs))


def _libensemble(
    scratch: Path, rows: list[list[str]], figures: dict[str, Any], notes: list[str],
    ours: dict[int, float],
) -> None:  # fmt: skip
    figures["vs_libensemble"] = None
    if find_spec("libensemble") is None:
        notes.append("libensemble is not installed: pip install 'hpctrain[bench]'")
        return
    where = scratch / "libe"
    where.mkdir()
    costs = _run(sys.executable, HERE / "peers" / "libensemble_cost.py", where, 1000)
    ms = 1e3 * _sum(costs, "loop_s") / 1000
    figures["vs_libensemble"] = round(ms / ours[1000], 1)
    rows.append(_row("libEnsemble, uniform sampling", 1000, ms, ours[1000], costs))
    notes.append("libEnsemble: a manager and 3 workers, which poll: their waiting counts")


def _run(python: str, program: Path, *arguments: object) -> Costs:
    """Run `program` on 4 ranks of `python`; what each of them says it cost."""
    command = [python, "-m", "hpctrain", "launch", "-n", str(RANKS), str(program)]
    answer = subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    costs = _costs(answer.stdout)
    if answer.returncode or len(costs) != RANKS:
        raise SystemExit(f"{program} failed:\n{answer.stdout}\n{answer.stderr}")
    return costs


def _costs(output: str) -> Costs:
    lines = [line.partition("COST ")[2] for line in output.splitlines() if "COST " in line]
    return [json.loads(line) for line in lines]


def _row(what: str, evaluations: int, ms: float, ours_ms: float, costs: Costs) -> list[str]:
    return [what, f"{evaluations:,}", f"{ms:.4f}", f"{ms / ours_ms:.1f}", f"{_rss(costs, -1):.0f}"]


def _sum(costs: Costs, key: str) -> float:
    return sum(cost[key] for cost in costs)


def _mean(costs: Costs, key: str) -> float:
    return _sum(costs, key) / len(costs)


def _rss(costs: Costs, place: int) -> float:
    return max(cost["rss_kb"][place] for cost in costs) / 1024


if __name__ == "__main__":
    main()
