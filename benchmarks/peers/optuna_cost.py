"""One process of an Optuna study on a journal file, TPE with its defaults: prints what it cost.

Arguments: journal file, trials of this process.
"""

from __future__ import annotations

import json
import resource
import sys
from time import process_time

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

optuna.logging.set_verbosity(optuna.logging.WARNING)
storage = JournalStorage(JournalFileBackend(sys.argv[1]))
study = optuna.create_study(study_name="cost", storage=storage, load_if_exists=True)


def objective(trial: optuna.Trial) -> float:
    x, y = trial.suggest_float("x", -5.12, 5.12), trial.suggest_float("y", -5.12, 5.12)
    return x * x + y * y


began_s = process_time()
study.optimize(objective, n_trials=int(sys.argv[2]))
cost = {
    "loop_s": process_time() - began_s,
    "evaluations": int(sys.argv[2]),
    "rss_kb": [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss],
}
print("COST " + json.dumps(cost), flush=True)
