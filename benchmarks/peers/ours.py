"""One rank of our search with a free objective: prints what it cost.

Arguments: run directory, evaluations.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from time import process_time
from typing import Any

from hpctrain.compose.search_run import SearchRun
from hpctrain.compose.search_setup import search_config
from hpctrain.searching.space import Space

SKIP = 250  # evaluations of this rank before anything is compared: everything is loaded by then

run_dir, evaluations = Path(sys.argv[1]), int(sys.argv[2])
space = Space({"x": (-5.12, 5.12), "y": (-5.12, 5.12)})
settings = {"run_dir": str(run_dir), "stop": evaluations, "progress": "none"}
if len(sys.argv) > 3:
    settings["propagator"] = sys.argv[3]
config = search_config(space, settings)
run = SearchRun(config, space)
marks: list[float] = []
rss: list[int] = []


def objective(candidate: Mapping[str, Any]) -> float:
    marks.append(process_time())
    if len(marks) in (SKIP, 4 * SKIP):
        rss.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return candidate["x"] ** 2 + candidate["y"] ** 2


began_s = process_time()
run.loop.run(objective, None, 60.0)
loop_s = process_time() - began_s
rss.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
result = run.close()
tenth = max(1, len(marks) // 10)
first = marks[SKIP : SKIP + tenth]
last = marks[-tenth:]
print(
    "COST "
    + json.dumps(
        {
            "loop_s": loop_s,
            "close_s": process_time() - began_s - loop_s,
            "evaluations": len(marks),
            "first_s": (first[-1] - first[0]) / max(1, len(first) - 1) if len(first) > 1 else 0,
            "last_s": (last[-1] - last[0]) / max(1, len(last) - 1),
            "rss_kb": rss,
            "best": result.best.loss,
        }
    ),
    flush=True,
)
