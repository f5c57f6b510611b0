"""How good the best of 2,000 candidates is: our propagators beside Propulate and Optuna.

Sixteen virtual workers take turns in one process: all breed from what was known before the round,
then all learn the sixteen results. Optuna is asked for sixteen candidates before it is told their
losses. Functions, dimensions and bounds are those of the Propulate paper (arXiv 2301.08713), and a
rotated ellipsoid of condition 1e3 in ten dimensions. The quartic function is evaluated with noise
and judged without. CMA-ES, ours as Optuna's, begins in the middle of the box, where three of the
functions have their optimum.

Peers that are not installed are left out. Propulate needs a Python of its own (numpy below 2):
`--propulate-python`, or the environment variable HPCTRAIN_PROPULATE_PYTHON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from time import process_time

import numpy as np
from peers.search_functions import PROBLEMS, Problem
from report import print_result

from hpctrain.searching.breeding.make import make_propagator
from hpctrain.searching.draws import Draws
from hpctrain.searching.population import Population
from hpctrain.searching.record import Record
from hpctrain.searching.space import Space

NUM_WORKERS = 16
SOLVED = 1e-8  # above the optimum
OURS = ["auto", "cma", "genetic", "local", "differential", "swarm", "random", "even"]
OPTUNA = {"optuna cma": None, "optuna tpe": 3}  # at most so many seeds: TPE takes a minute for one
PROPULATE = {"propulate ga": "ga", "propulate cma": "cma"}
CHILD = Path(__file__).parent / "peers" / "search_propulate.py"

Job = tuple[str, str, int, int, str]  # method, function, seed, evaluations, Propulate's Python


def main() -> None:
    options = _options()
    methods, notes = _available(options)
    jobs = [
        (method, function, seed, options.evaluations, options.propulate_python)
        for function in options.functions
        for method in methods
        for seed in range(min(options.seeds, OPTUNA.get(method) or options.seeds))
    ]
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        results = list(pool.map(run, jobs))
    losses: dict[str, dict[str, list[float]]] = {f: {m: [] for m in methods} for f in PROBLEMS}
    cpu_us: dict[str, dict[str, list[float]]] = {f: {m: [] for m in methods} for f in PROBLEMS}
    for (method, function, *_), (loss, us) in zip(jobs, results, strict=True):
        losses[function][method].append(loss)
        cpu_us[function][method].append(us)
    losses = {function: losses[function] for function in options.functions}
    table = {f: {m: _quartiles(found) for m, found in row.items()} for f, row in losses.items()}
    cost = {
        f: {m: round(float(np.mean(cpu_us[f][m])), 1) for m in methods if m in OURS} for f in losses
    }
    print_result(
        f"Best loss of {options.evaluations:,} candidates: median (quartiles) of {options.seeds} "
        "seeds",
        ["function", "method", "median", "lower quartile", "upper quartile", "CPU us/candidate"],
        [_row(f, m, table[f][m], cost[f].get(m)) for f in losses for m in methods],
        {"table": table, "losses": losses, "cpu_us_per_candidate": cost},
        [f"0 stands for less than {SOLVED:g} above the optimum", *notes],
    )


def run(job: Job) -> tuple[float, float]:
    """The loss of one run, and the CPU microseconds per candidate."""
    method, function, seed, evaluations, python = job
    problem = PROBLEMS[function]
    if method in PROPULATE:
        return _propulate(python, PROPULATE[method], function, seed, evaluations), np.nan
    if method in OPTUNA:
        return _optuna(method, problem, seed, evaluations), np.nan
    return ours(method, problem, seed, evaluations)


def ours(method: str, problem: Problem, seed: int, evaluations: int) -> tuple[float, float]:
    """One of our propagators; the CPU time is that of all workers' breeding and learning."""
    space = Space({f"x{i}": (problem.low, problem.high) for i in range(problem.num_dims)})
    workers = [make_propagator(method, space, seed) for _ in range(NUM_WORKERS)]
    population = Population(workers[0].needs)  # one for all, since all know the same
    draws, noise = Draws(seed), np.random.default_rng(seed)
    best, result, spent_s = np.inf, np.inf, 0.0
    for first in range(0, evaluations, NUM_WORKERS):
        start_s = process_time()
        batch = []
        for number, worker in enumerate(workers[: evaluations - first], first):
            batch.append((number, *worker.breed(population, number, draws.at(number))))
            population.pending[number] = batch[-1][1]
        spent_s += process_time() - start_s
        records = []
        for number, genome, made_by in batch:
            x = np.array(genome)
            records.append((Record(problem.seen(x, noise), number, genome), made_by))
            if records[-1][0].loss < best:
                best, result = records[-1][0].loss, problem.value(x)
        start_s = process_time()
        for place, (record, made_by) in enumerate(records):
            population.add(record)
            for i, worker in enumerate(workers):
                worker.observe(record, made_by if i == place else "")
        spent_s += process_time() - start_s
    return float(result), spent_s / evaluations * 1e6


def _optuna(method: str, problem: Problem, seed: int, evaluations: int) -> float:
    import warnings

    import optuna

    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    make = optuna.samplers.CmaEsSampler if method == "optuna cma" else optuna.samplers.TPESampler
    study = optuna.create_study(sampler=make(seed=seed))
    names = [f"x{i}" for i in range(problem.num_dims)]
    box = {
        name: optuna.distributions.FloatDistribution(problem.low, problem.high) for name in names
    }
    noise = np.random.default_rng(seed)
    best, result = np.inf, np.inf
    for first in range(0, evaluations, NUM_WORKERS):
        trials = [study.ask(box) for _ in range(min(NUM_WORKERS, evaluations - first))]
        for trial in trials:
            x = np.array([trial.params[name] for name in names])
            loss = problem.seen(x, noise)
            study.tell(trial, loss)
            if loss < best:
                best, result = loss, problem.value(x)
    return float(result)


def _propulate(python: str, method: str, function: str, seed: int, evaluations: int) -> float:
    sizes = [str(evaluations), str(NUM_WORKERS), str(seed)]
    command = [python, str(CHILD), method, function, *sizes]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(json.loads(answer.stdout.splitlines()[-1])[0])


def _available(options: argparse.Namespace) -> tuple[list[str], list[str]]:
    """The methods that can run, and a note for each peer that is left out."""
    wanted = options.methods or [*(OURS if options.all else OURS[:1]), *OPTUNA, *PROPULATE]
    notes = []
    if set(wanted) & set(OPTUNA) and find_spec("optuna") is None:
        notes.append("Optuna is not installed and was left out")
        wanted = [method for method in wanted if method not in OPTUNA]
    if set(wanted) & set(PROPULATE) and not options.propulate_python:
        notes.append("no --propulate-python: Propulate was left out")
        wanted = [method for method in wanted if method not in PROPULATE]
    return wanted, notes


def _quartiles(losses: list[float]) -> list[float]:
    """Lower quartile, median, upper quartile."""
    return [float(f"{value:.4g}") for value in np.quantile(losses, [0.25, 0.5, 0.75])]


def _row(function: str, method: str, quartiles: list[float], us: float | None) -> list[str]:
    optimum = PROBLEMS[function].optimum
    low, middle, high = (
        f"{optimum:g}" if loss - optimum < SOLVED else f"{loss:.2g}" for loss in quartiles
    )
    return [function, method, middle, low, high, f"{us:.0f}" if us is not None else ""]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    methods = [*OURS, "gaussian", *OPTUNA, *PROPULATE]
    parser.add_argument("--seeds", type=int, default=15)
    parser.add_argument("--evaluations", type=int, default=2000)
    parser.add_argument("--functions", nargs="+", choices=PROBLEMS, default=list(PROBLEMS))
    parser.add_argument("--methods", nargs="+", choices=methods)
    parser.add_argument("--all", action="store_true", help="all our propagators, not auto alone")
    parser.add_argument(
        "--propulate-python", default=os.environ.get("HPCTRAIN_PROPULATE_PYTHON", "")
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
