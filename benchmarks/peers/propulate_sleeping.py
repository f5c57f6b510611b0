"""One rank of propulate with `Sleeper`. Arguments: checkpoints, evaluations per rank."""

from __future__ import annotations

import json
import random
import sys
from time import perf_counter

from mpi4py import MPI
from propulate import Propulator
from propulate.utils import get_default_propagator
from sleeping import Sleeper

comm = MPI.COMM_WORLD
limits = {"x": (-5.12, 5.12), "y": (-5.12, 5.12)}
rng = random.Random(comm.rank)
sleeper = Sleeper(comm.rank == comm.size - 1)
propulator = Propulator(
    sleeper,
    get_default_propagator(20, limits, rng=rng),
    rng,
    generations=int(sys.argv[2]),
    checkpoint_path=sys.argv[1],
)
comm.barrier()
began_s = perf_counter()
propulator.propulate(logging_interval=10**9, debug=-1)
cost = {"rank": comm.rank, "busy_s": sleeper.busy_s, "wall_s": perf_counter() - began_s}
print("COST " + json.dumps(cost | {"evaluations": sleeper.evaluations}), flush=True)
