"""Propulate on one problem, for `search_quality.py`; runs in a Python that has Propulate.

    python search_propulate.py METHOD PROBLEM EVALUATIONS WORKERS SEED...

prints a JSON list with the best loss of each seed. The workers take turns in one process: all breed
from what was known before the round. Only candidates within the bounds count.
"""

from __future__ import annotations

import json
import random
import sys
import types
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from search_functions import PROBLEMS


def main(method: str, problem: str, evaluations: str, workers: str, *seeds: str) -> None:
    _stand_in("GPy")  # only for surrogates, and seldom to be installed
    _stand_in("mpi4py")  # not used: all workers are in this process
    sizes = int(evaluations), int(workers)
    print(json.dumps([best_loss(method, problem, *sizes, int(seed)) for seed in seeds]))


def best_loss(method: str, name: str, evaluations: int, workers: int, seed: int) -> float:
    """The noise-free loss of the candidate that looked best."""
    problem = PROBLEMS[name]
    limits = {f"x{i}": (problem.low, problem.high) for i in range(problem.num_dims)}
    breeders = [_propagator(method, limits, workers, seed, w) for w in range(workers)]
    noise = np.random.default_rng(seed)
    population: list = []
    best, result = np.inf, np.inf
    while len(population) < evaluations:
        batch = [breed(population) for breed in breeders[: evaluations - len(population)]]
        for individual in batch:
            x = np.array([float(individual[key]) for key in limits])
            individual.loss = problem.seen(x, noise)
            inside = bool(np.all((problem.low <= x) & (x <= problem.high)))
            if inside and individual.loss < best:
                best, result = individual.loss, problem.value(x)
        population += batch
    return float(result)


def _propagator(method: str, limits: dict, workers: int, seed: int, worker: int):
    from propulate import get_default_propagator
    from propulate.propagators import ActiveCMA, CMAPropagator

    rng = random.Random(seed * 1000 + worker)
    if method == "ga":
        return get_default_propagator(2 * workers, limits, rng=rng)
    return CMAPropagator(ActiveCMA(), limits, rng=rng)


def _stand_in(name: str) -> None:
    """An empty module under a name that Propulate imports, if it is not installed."""
    try:
        __import__(name)
    except ImportError:
        module = types.ModuleType(name)
        module.MPI = types.SimpleNamespace(  # type: ignore[attr-defined]
            COMM_WORLD=None, COMM_SELF=None, Comm=object, Intracomm=object, Request=object
        )
        module.__getattr__ = lambda _: object  # type: ignore[method-assign]
        sys.modules[name] = module


if __name__ == "__main__":
    main(*sys.argv[1:])
