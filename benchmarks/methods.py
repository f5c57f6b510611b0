"""Methods compared in virtual time, each tuned alike: `hpctrain compare` and its figures.

    python benchmarks/methods.py            # studies/islands.toml: hours
    python benchmarks/methods.py --quick    # studies/quick.toml: minutes, no download

What was computed before is not computed again; it lies in `studies/islands` and `studies/quick`.
Figures are percent of the loss of the second method, with the bounds of the 95 % interval over
seeds, at the profile 1-6-6-6-6 and fixed tokens; below zero: the first is better.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from report import print_result

ROOT = Path(__file__).parents[1]
PROFILE, BUDGET = "1-6-6-6-6", "tokens"


def main() -> None:
    quick = "--quick" in sys.argv[1:]
    name = "quick" if quick else "islands"
    if not quick and not (ROOT / "studies" / "manpages").is_dir():
        print("SKIPPED: python studies/manpages.py studies/manpages fetches the text it needs")
        return
    command = [sys.executable, "-m", "hpctrain", "compare", f"studies/{name}.toml", "--html"]
    subprocess.run(command, cwd=ROOT, check=True)
    document = json.loads((ROOT / "studies" / name / "study.json").read_text())
    chosen = [c for c in document["cells"] if (c["profile"], c["budget"]) == (PROFILE, BUDGET)]
    rows = [
        [
            cell["method"],
            f"{cell['tuned']:.3g}" if cell["tuned"] else "",
            f"{cell['loss_mean']:.4f}" if cell["loss_mean"] else "diverged",
            text_of(cell),
        ]
        for cell in sorted(chosen, key=lambda cell: cell["loss_mean"] or 99.0)
    ]
    figures = {
        f"{cell['method']}_vs_{document['reference']}_pct": [
            cell["against_reference_pct"],
            cell["against_reference_low_pct"],
            cell["against_reference_high_pct"],
        ]
        for cell in chosen
        if cell["method"] != document["reference"]
    }
    print_result(
        f"{name}: {PROFILE}, fixed {BUDGET}, {len(document['seeds'])} seeds",
        ["method", "tuned", "loss", f"to {document['reference']} in % (95 %)"],
        rows,
        figures,
    )


def text_of(cell: dict[str, float | None]) -> str:
    values = [cell[f"against_reference_{name}pct"] for name in ("", "low_", "high_")]
    if any(value is None for value in values):
        return ""
    return "{:+.2f} ({:+.2f} .. {:+.2f})".format(*values)


if __name__ == "__main__":
    main()
