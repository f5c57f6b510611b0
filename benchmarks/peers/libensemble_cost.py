"""libEnsemble over MPI, a manager and workers, uniform sampling: prints what each rank cost.

Arguments: a directory, evaluations in all.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from time import process_time

import numpy as np
from libensemble import Ensemble
from libensemble.alloc_funcs.give_sim_work_first import give_sim_work_first
from libensemble.gen_funcs.sampling import uniform_random_sample
from libensemble.specs import AllocSpecs, ExitCriteria, GenSpecs, LibeSpecs, SimSpecs


def sphere(points, persis_info, sim_specs, _):  # libEnsemble's signature
    out = np.zeros(len(points), dtype=sim_specs["out"])
    out["f"] = (points["x"] ** 2).sum(axis=1)
    return out, persis_info


os.chdir(sys.argv[1])
evaluations = int(sys.argv[2])
ensemble = Ensemble(
    parse_args=False,
    libE_specs=LibeSpecs(
        comms="mpi", disable_log_files=True, save_every_k_sims=100, safe_mode=False
    ),
    sim_specs=SimSpecs(sim_f=sphere, inputs=["x"], out=[("f", float)]),
    gen_specs=GenSpecs(
        gen_f=uniform_random_sample,
        out=[("x", float, (2,))],
        user={
            "gen_batch_size": 50,
            "lb": np.array([-5.12, -5.12]),
            "ub": np.array([5.12, 5.12]),
        },
    ),
    alloc_specs=AllocSpecs(alloc_f=give_sim_work_first, user={"num_active_gens": 1}),
    exit_criteria=ExitCriteria(sim_max=evaluations),
)
ensemble.add_random_streams()
began_s = process_time()
ensemble.run()
cost = {
    "loop_s": process_time() - began_s,
    "evaluations": evaluations,
    "rss_kb": [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss],
}
print("COST " + json.dumps(cost), flush=True)
