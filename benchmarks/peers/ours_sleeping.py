"""One rank of our search with `Sleeper`. Arguments: run directory, evaluations."""

from __future__ import annotations

import json
import os
import sys
from time import perf_counter

from sleeping import Sleeper

from hpctrain.compose.search_run import SearchRun
from hpctrain.compose.search_setup import search_config
from hpctrain.searching.space import Space

space = Space({"x": (-5.12, 5.12), "y": (-5.12, 5.12)})
settings = {"run_dir": sys.argv[1], "stop": int(sys.argv[2]), "progress": "none"}
run = SearchRun(search_config(space, settings), space)
rank = run.world.rank
sleeper = Sleeper(rank == run.world.size - 1)
run.world.share(None)
began_s = perf_counter()
run.loop.run(sleeper, None, 60.0)
wall_s = perf_counter() - began_s
run.close()
cost = {"rank": rank, "busy_s": sleeper.busy_s, "wall_s": wall_s, "pid": os.getpid()}
print("COST " + json.dumps(cost | {"evaluations": sleeper.evaluations}), flush=True)
