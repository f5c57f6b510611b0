"""Methods compared in virtual time, each tuned alike: `hpctrain compare` and its figures.

    python benchmarks/methods.py            # studies/islands.toml: under three hours on two cores
    python benchmarks/methods.py --quick    # studies/quick.toml: minutes, no download
    python benchmarks/methods.py --finished # runs nothing: figures of what is complete

What was computed before is not computed again; it lies in `studies/islands` and `studies/quick`.
Figures are percent of the loss of the second method, with the bounds of the 95 % interval over
seeds, paired; below zero: the first is better. `best_...` is the best of several by its mean.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from report import print_result

from hpctrain.report.studies.records import Spread, spread_of

ROOT = Path(__file__).parents[1]
FAST, FASTER, NETWORK = "1-6-6-6-6", "1-15-15-15-15", "1-6-6-6-6, network"
OURS, HELOCO = "galoco", ("heloco", "heloco-printed", "heloco-whole", "heloco-overlap")
ALL = ()  # every other method of the place

# Figure, first method, the others, profile, budget.
FIGURES: list[tuple[str, str, Sequence[str], str, str]] = [
    ("heloco_vs_async_nesterov_pct", "heloco", ("async-nesterov",), FAST, "tokens"),
    ("heloco_vs_mla_pct", "heloco", ("mla",), FAST, "tokens"),
    ("ours_vs_heloco_pct", OURS, HELOCO, FAST, "tokens"),
    ("ours_vs_heloco_15x_pct", OURS, HELOCO, FASTER, "tokens"),
    ("ours_vs_sync_tokens_pct", OURS, ("diloco",), FAST, "tokens"),
    ("ours_vs_sync_time_pct", OURS, ("diloco",), FAST, "time"),
    ("ours_vs_sync_time_15x_pct", OURS, ("diloco",), FASTER, "time"),
    ("ours_vs_best_time_pct", OURS, ALL, FAST, "time"),
    ("ours_vs_best_time_15x_pct", OURS, ALL, FASTER, "time"),
    ("ours_vs_best_network_pct", OURS, ALL, NETWORK, "time"),
]

Losses = Mapping[tuple[str, str, str], Sequence[float]]  # of (method, profile, budget), by seed


def main() -> None:
    quick = "--quick" in sys.argv[1:]
    name = "quick" if quick else "islands"
    if not quick and not (ROOT / "studies" / "manpages").is_dir():
        print("SKIPPED: python studies/manpages.py studies/manpages fetches the text it needs")
        return
    command = [sys.executable, "-m", "hpctrain", "compare", f"studies/{name}.toml", "--html"]
    command += ["--finished"] if "--finished" in sys.argv[1:] else []
    subprocess.run(command, cwd=ROOT, check=True)
    document = json.loads((ROOT / "studies" / name / "study.json").read_text())
    losses = losses_of(document["cells"])
    rows, figures = [], {}
    for figure, first, others, profile, budget in FIGURES:
        second = best_of(losses, others, first, profile, budget)
        if second is None or (first, profile, budget) not in losses:
            continue
        found = difference(losses[first, profile, budget], losses[second, profile, budget])
        figures[figure] = [round(value, 3) for value in (found.mean, found.low, found.high)]
        rows.append([f"{first} / {second}", f"{profile}, {budget}", text_of(found)])
    print_result(
        f"{name}: {len(document['seeds'])} seeds",
        ["methods", "place", "difference in % (95 %)"],
        rows,
        figures,
    )


def losses_of(cells: Sequence[Mapping[str, Any]]) -> Losses:
    return {
        (cell["method"], cell["profile"], cell["budget"]): [
            math.inf if loss is None else loss for loss in cell["losses"]
        ]
        for cell in cells
    }


def best_of(
    losses: Losses, among: Sequence[str], first: str, profile: str, budget: str
) -> str | None:
    """The method with the lowest mean; `among` nobody means all."""
    there = [m for m, p, b in losses if (p, b) == (profile, budget) and m != first]
    chosen = [method for method in there if not among or method in among]
    return min(chosen, key=lambda method: sum(losses[method, profile, budget]), default=None)


def difference(first: Sequence[float], second: Sequence[float]) -> Spread:
    return spread_of([100 * (a / b - 1) for a, b in zip(first, second, strict=True)])


def text_of(spread: Spread) -> str:
    return f"{spread.mean:+.2f} ({spread.low:+.2f} .. {spread.high:+.2f})"


if __name__ == "__main__":
    main()
