"""Small searches, written as a search writes them, with numbers that can be checked by head."""

from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from hpctrain.report.searches.records import read_search
from hpctrain.report.searches.show import print_search_run
from hpctrain.report.state import LifeSign
from hpctrain.storage.read import open_run
from hpctrain.storage.store import RunStore

GONE = LifeSign(writing=False, here=True, silent_s=1.0)
SPACE = {
    "rate": {"low": 1e-4, "high": 1.0, "log": True},
    "kind": {"options": ["sgd", "adam", None]},
    "momentum": {"low": 0.0, "high": 1.0, "when": {"kind": ["sgd"]}},
    "depth": {"low": -1, "high": 8},
    "batch": {"value": 32},
    "nesterov": {"value": True, "when": {"kind": ["sgd"]}},
}


@dataclass
class SmallSearch:
    """Writes the rows of a search; candidate n was evaluated by worker n modulo the workers."""

    run_dir: Path
    space: dict = field(default_factory=lambda: SPACE)
    workers: int = 2
    objectives: int = 1
    duplicates: str = "reuse"
    candidates: list = field(default_factory=list)
    values: list = field(default_factory=list)

    def identity(self):
        return {
            "run_id": "1", "start_time_utc": "2026-01-02T03:04:05+00:00", "seed": 7,
            "islands": ["one"], "num_workers": self.workers, "host": "hill",
            "config_resolved": {"name": "small", "search": {"duplicates": self.duplicates}},
            "search": {
                "space": dict(sorted(self.space.items())), "num_objectives": self.objectives,
                "objective": "somewhere:loss", "propagator": "auto",
            },
        }  # fmt: skip

    def add(self, config, *losses, outcome="done", **other):
        """One candidate; it ends a second after the one before it, and took half of that."""
        number = other.pop("number", len(self.candidates))
        row = {
            "time_s": len(self.candidates) + 1.0, "worker": number % self.workers, "island": 0,
            "number": number, "outcome": outcome, "made_by": "even", "took_s": 0.5, "times": 1,
            "began_s": len(self.candidates) + 0.5,
        }  # fmt: skip
        row |= {f"param.{name}": value for name, value in config.items()}
        row |= {("loss" if n == 0 else f"loss_{n}"): loss for n, loss in enumerate(losses)}
        self.candidates.append(row | other)

    def on_the_way(self, number, *values):
        for step, value in enumerate(values, 1):
            row = {"time_s": 1.0, "worker": number % self.workers, "number": number}
            self.values.append(row | {"step": step, "value": value})

    def write(self, end="finish", text="all evaluations are done"):
        for worker in range(self.workers):
            header = {"worker": worker, "host": "hill", "versions": {"hpctrain": "0.1.0"}}
            with RunStore.open_for_writing(
                self.run_dir, worker, header, False, identity=self.identity()
            ) as store:
                for kind, rows in (
                    ("candidate", self.candidates),
                    ("candidate_value", self.values),
                ):
                    for row in rows:
                        if row["worker"] == worker:
                            store.note(kind, row)
                if worker == 0 and end:
                    time_s = len(self.candidates) + 1.0
                    store.note("event", {"time_s": time_s, "kind": end, "text": text})
        return open_run(self.run_dir)

    def read(self):
        return read_search(self.write())


def add_everything(search):
    """Failures, a NaN, conditions, a value that is missing and one that looks like missing."""
    sgd = {"rate": 0.1, "kind": "sgd", "momentum": 0.5, "depth": 3, "batch": 32, "nesterov": True}
    adam = {"rate": 0.01, "kind": "adam", "depth": -1, "batch": 32}
    none = {"rate": 0.001, "kind": None, "depth": 8, "batch": 32}
    search.add(sgd, 3.0)
    search.add(adam, 1.0, made_by="cma")
    search.add(none, 2.0, cost=1.5)
    search.add(sgd | {"rate": 0.5}, outcome="failed", reason="RuntimeError: inf at step 17")
    search.add(sgd | {"rate": 0.6}, outcome="failed", reason="RuntimeError: inf at step 4")
    search.add(adam | {"rate": 0.9}, outcome="failed", reason="the loss is nan")
    search.add(adam | {"depth": 0}, outcome="stopped", reason="bad", last_step=2, last_value=9.0)
    search.add(adam, 1.0, outcome="reused", reason="the same as candidate 1")
    search.add(adam | {"depth": 1}, outcome="cancelled", reason="the end")
    search.on_the_way(1, 4.0, 2.0, 1.0)
    search.on_the_way(6, 9.5, 9.0)


@pytest.fixture
def small_search(tmp_path):
    """Makes a search with the given settings, each in a directory of its own."""
    made = []

    def make(**settings):
        made.append(SmallSearch(tmp_path / f"runs{len(made) or ''}" / "small", **settings))
        return made[-1]

    return make


@pytest.fixture
def everything(small_search):
    """A search in which everything has happened."""
    search = small_search()
    add_everything(search)
    return search


@pytest.fixture
def shown():
    """What `show` prints of a search, at 80 columns."""

    def show(run, life=GONE, top=10):
        out = StringIO()
        print_search_run(run, life, Console(file=out, width=80, highlight=False), top)
        return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"

    return show


@pytest.fixture
def sampled(small_search):
    """Makes a search that evaluated a function at random points of 0..1, NaN where it failed."""

    def make(function, num_parameters, count, **settings):
        space = {f"x{n}": {"low": 0.0, "high": 1.0} for n in range(num_parameters)}
        search = small_search(space=space, **settings)
        for point in np.random.default_rng(1).random((count, num_parameters)):
            config = {f"x{n}": float(value) for n, value in enumerate(point)}
            search.add(config, *np.atleast_1d(function(point)).tolist())
        return search

    return make
