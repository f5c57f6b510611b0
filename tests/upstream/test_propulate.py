"""Against the installed propulate package, in an environment of its own: it needs numpy below 2."""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("propulate", reason="`make test` runs this in .venv/propulate")

from propulate import Propulator
from propulate.propagators import (
    BasicCMA,
    CMAPropagator,
    Compose,
    CrossoverMultiple,
    CrossoverSigmoid,
    CrossoverUniform,
    InitUniform,
    IntervalMutationNormal,
    PointMutation,
    RandomPointMutation,
    SelectMax,
    SelectMin,
    SelectUniform,
)

import hpctrain as ht
from hpctrain.adapters.propulate_checkpoint import read_checkpoint
from hpctrain.adapters.propulate_limits import SoundIndividual, Translation
from hpctrain.adapters.propulate_propagator import UpstreamPropagator
from hpctrain.searching.breeding.make import make_propagator
from hpctrain.searching.draws import Draws
from hpctrain.searching.parameters import Choice, Float, Int
from hpctrain.searching.population import Needs, Population
from hpctrain.searching.record import Record
from hpctrain.searching.settings import SearchSettings
from hpctrain.searching.space import Space
from hpctrain.searching.stop import Stop
from hpctrain.workers.virtual_search import Imagined, imagined_topology, simulate_search

ROOT = Path(__file__).parents[2]
MIXED = Space(
    {
        "lr": Float(1e-5, 1e-1, log=True),
        "momentum": Float(0.0, 1.0),
        "layers": Int(1, 8),
        "width": Int(16, 128, step=16),
        "optimizer": Choice(("sgd", "adamw", "lamb")),
    }
)
PLANE = Space({"x": (-5.0, 5.0), "y": (-5.0, 5.0)})

Make = Callable[[Any, random.Random], Any]


def filled(space: Space, count: int = 40) -> Population:
    population = Population(Needs(20, 20))
    draws = Draws(3)
    for number in range(count):
        genome = space.sample(draws.at(number))
        population.add(Record(float(number % 17), number, genome))
    return population


def chain(*operators: Callable[[Any, random.Random], Any]) -> Make:
    return lambda limits, rng: Compose([make(limits, rng) for make in operators])


UPSTREAM: dict[str, Make] = {
    "uniform": lambda limits, rng: InitUniform(limits, rng=rng),
    "select": chain(lambda box, rng: SelectMin(5), lambda box, rng: SelectUniform(1, rng=rng)),
    "worst": chain(lambda box, rng: SelectMax(1)),
    "crossover": chain(
        lambda box, rng: SelectMin(5),
        lambda box, rng: SelectUniform(2, rng=rng),
        lambda box, rng: CrossoverUniform(0.3, rng=rng),
    ),
    "multiple": chain(
        lambda box, rng: SelectMin(5),
        lambda box, rng: SelectUniform(3, rng=rng),
        lambda box, rng: CrossoverMultiple(parents=3, rng=rng),
    ),
    "sigmoid": chain(
        lambda box, rng: SelectMin(5),
        lambda box, rng: SelectUniform(2, rng=rng),
        lambda box, rng: CrossoverSigmoid(1.0, rng=rng),
    ),
    "point": chain(
        lambda box, rng: SelectMin(5),
        lambda box, rng: SelectUniform(2, rng=rng),
        lambda box, rng: CrossoverUniform(0.3, rng=rng),
        lambda box, rng: PointMutation(box, 1, probability=1.0, rng=rng),
    ),
    "points": chain(
        lambda box, rng: SelectMin(5),
        lambda box, rng: SelectUniform(2, rng=rng),
        lambda box, rng: CrossoverUniform(0.3, rng=rng),
        lambda box, rng: RandomPointMutation(box, 1, 3, probability=1.0, rng=rng),
    ),
    "interval": chain(
        lambda box, rng: SelectMin(5),
        lambda box, rng: SelectUniform(2, rng=rng),
        lambda box, rng: CrossoverUniform(0.3, rng=rng),
        lambda box, rng: IntervalMutationNormal(box, 0.5, probability=1.0, rng=rng),
    ),
}


@pytest.mark.parametrize("name", UPSTREAM)
def test_every_operator_of_propulate_breeds_within_our_space(name: str) -> None:
    propagator = UpstreamPropagator(MIXED, UPSTREAM[name], recent=20)
    population, draws = filled(MIXED), Draws(1)
    for number in range(100, 200):
        genome, made_by = propagator.breed(population, number, draws.at(number))
        assert MIXED.encode(MIXED.decode(genome)) == genome
        assert made_by == "propulate"


def test_the_default_of_propulate_runs_a_whole_search_of_ours() -> None:
    search = simulate_search(
        SearchSettings(PLANE, lambda: UpstreamPropagator(PLANE), Stop(evaluations=600)),
        imagined_topology(4),
        lambda worker, order: Imagined((sum(x * x for x in order.genome),), 1.0),
    )
    best = min(state.knowledge.population.elites[0].loss for state in search.states)
    assert best < 0.05


def test_its_cma_runs_too() -> None:
    def make(limits: Any, rng: random.Random) -> Any:
        return CMAPropagator(BasicCMA(), limits, rng=rng)

    def best(seed: int) -> float:
        search = simulate_search(
            SearchSettings(
                PLANE,
                lambda: UpstreamPropagator(PLANE, make, 20, 40),
                Stop(evaluations=300),
                seed=seed,
            ),
            imagined_topology(2),
            lambda worker, order: Imagined((sum(x * x for x in order.genome),), 1.0),
        )
        return min(state.knowledge.population.elites[0].loss for state in search.states)

    # One run may shrink its ellipse away from the minimum, and which one does is decided by the
    # last bits of the machine's eigenvectors; most of them do not.
    assert statistics.median(best(seed) for seed in range(9)) < 0.5


def test_genomes_come_back_from_individuals_exactly_or_to_the_last_bits() -> None:
    translation, draws = Translation(MIXED), Draws(2)
    for number in range(300):
        genome = MIXED.sample(draws.at(number))
        back = translation.genome(translation.individual(Record(1.0, number, genome), 0))
        assert back[2:] == genome[2:]
        assert back[:2] == pytest.approx(genome[:2], rel=1e-12)


def test_a_mutated_category_is_what_is_evaluated() -> None:
    translation = Translation(MIXED)
    genome = MIXED.encode(
        {"lr": 1e-3, "momentum": 0.5, "layers": 2, "width": 32, "optimizer": "sgd"}
    )
    individual = translation.individual(Record(1.0, 0, genome), 0)
    individual["optimizer"] = "option 2"
    assert isinstance(individual, SoundIndividual)
    assert MIXED.decode(translation.genome(individual))["optimizer"] == "lamb"


def test_the_same_number_breeds_the_same_candidate() -> None:
    def bred() -> list[Any]:
        propagator, population, draws = UpstreamPropagator(MIXED), filled(MIXED), Draws(1)
        return [propagator.breed(population, n, draws.at(n))[0] for n in range(50)]

    assert bred() == bred()


def test_our_genetic_mix_mutates_as_propulates_default_does() -> None:
    """The same population, many children: their distances from it have the same distribution."""
    space = Space({f"x{i}": (-1.0, 1.0) for i in range(4)})
    population, draws = filled(space), Draws(9)
    ours, theirs = make_propagator("genetic", space), UpstreamPropagator(space)
    parents = [record.genome for record in population.elites]

    def inherited(propagator: Any, first: int) -> float:
        kept = 0
        for number in range(first, first + 3000):
            child, _ = propagator.breed(population, number, draws.at(number))
            nearest = [min(abs(child[i] - parent[i]) for parent in parents) for i in range(4)]
            kept += sum(distance < 0.05 for distance in nearest)
        return kept / 12_000

    a, b = inherited(ours, 10_000), inherited(theirs, 20_000)
    assert a == pytest.approx(b, abs=0.08)


def test_a_checkpoint_of_propulate_is_read_without_trusting_it(tmp_path: Path) -> None:
    limits = {"lr": (1e-5, 1e-1), "layers": (1, 8), "optimizer": ("sgd", "adamw", "lamb")}
    rng = random.Random(1)
    losses: dict[tuple[Any, ...], float] = {}

    def loss(individual: Any) -> float:
        seen = (individual["lr"], individual["layers"], individual["optimizer"])
        losses[seen] = individual["lr"] * individual["layers"]
        return losses[seen]

    from propulate.utils import get_default_propagator

    propulator = Propulator(
        loss, get_default_propagator(8, limits, rng=rng), rng, generations=60,
        checkpoint_path=tmp_path,
    )  # fmt: skip
    propulator.propagate = None
    propulator.propulate(logging_interval=10**9, debug=-1)
    found = read_checkpoint(tmp_path / "island_0_ckpt.pickle")
    assert len(found) == 60
    for individual in found:
        c = individual.config
        assert losses[c["lr"], c["layers"], c["optimizer"]] == individual.loss
    assert {type(i.config["layers"]) for i in found} == {int}
    assert Counter(i.generation for i in found) == Counter(range(60))


def test_the_upstream_engine_writes_into_our_store(tmp_path: Path) -> None:
    path = tmp_path / "search.toml"
    path.write_text(f"""
run_dir = "{tmp_path}/run"
[progress]
show = "plain"
[search]
engine = "propulate"
objective = "tests.programs.objectives:sphere"
[search.stop]
evaluations = 80
[search.space]
x = {{ low = -5.0, high = 5.0 }}
y = {{ low = -5.0, high = 5.0 }}
""")
    launch = [sys.executable, "-m", "hpctrain", "launch", "-n", "2", "search", str(path)]
    answer = subprocess.run(launch, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert answer.returncode == 0, answer.stderr
    from hpctrain.storage.read import open_run

    table = open_run(tmp_path / "run").table("candidate")
    assert sorted(table["number"]) == list(range(80))
    assert "every rank has done its share" in answer.stdout
    assert np.isfinite(table["loss"]).all()


def test_the_upstream_engine_counts_a_loss_that_is_no_number_as_failed(tmp_path: Path) -> None:
    def objective(candidate: Any) -> Any:
        return {3: (1.0, 2.0), 5: float("nan")}.get(candidate.number, candidate["x"] ** 2)

    result = ht.search(
        objective, {"x": (-5.0, 5.0)}, stop=20, engine="propulate",
        run_dir=str(tmp_path / "run"), progress="none",
    )  # fmt: skip
    assert (result.evaluations, result.failed) == (18, 2)
    assert 0.0 <= result.best.loss < 25.0


def test_a_target_of_zero_is_refused_by_the_upstream_engine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        ht.search(
            lambda candidate: 1.0, {"x": (-5.0, 5.0)}, stop={"evaluations": 20, "target": 0.0},
            engine="propulate", run_dir=str(tmp_path / "run"),
        )  # fmt: skip
    assert "propulate ends after a fixed number" in capsys.readouterr().err
