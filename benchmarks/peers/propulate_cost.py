"""One rank of propulate with a free objective and its default checkpoint: prints what it cost.

Arguments: directory for checkpoints, evaluations per rank. Runs in propulate's own environment.
"""

from __future__ import annotations

import json
import random
import resource
import sys
from time import process_time

from mpi4py import MPI
from propulate import Propulator
from propulate.utils import get_default_propagator

checkpoints, generations = sys.argv[1], int(sys.argv[2])
limits = {"x": (-5.12, 5.12), "y": (-5.12, 5.12)}
rng = random.Random(MPI.COMM_WORLD.rank)
propulator = Propulator(
    lambda individual: individual["x"] ** 2 + individual["y"] ** 2,
    get_default_propagator(10, limits, rng=rng),
    rng,
    generations=generations,
    checkpoint_path=checkpoints,
)
began_s = process_time()
propulator.propulate(logging_interval=10**9, debug=-1)
cost = {
    "loop_s": process_time() - began_s,
    "evaluations": generations,
    "rss_kb": [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss],
}
print("COST " + json.dumps(cost), flush=True)
