"""Small runs, written as a training writes them, with numbers that can be checked by head."""

from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from hpctrain.report.show import print_run
from hpctrain.report.state import LifeSign
from hpctrain.storage.read import open_run
from hpctrain.storage.store import RunStore

GONE = LifeSign(writing=False, here=True, silent_s=1.0)
WRITING = LifeSign(writing=True, here=True, silent_s=1.0)
PHASES_S = {
    "compute_s": 0.8, "exchange_s": 0.1, "wait_s": 0.05, "evaluate_s": 0.05, "checkpoint_s": 0.0,
}  # fmt: skip


@dataclass
class SmallRun:
    """Writes the rows of a run with one worker per island, each on its own rank."""

    run_dir: Path
    islands: tuple[str, ...] = ("north", "south")
    paces: tuple[float, ...] = (1.0, 3.0)
    method: str = "heloco"

    def identity(self):
        resolved = {
            "name": "small",
            "method": {"name": self.method},
            "task": {"factory": "somewhere:task"},
            "pace": {"factors": list(self.paces)},
            "topology": {"data": "own"},
        }
        return {
            "run_id": "1", "start_time_utc": "2026-01-02T03:04:05+00:00", "seed": 7,
            "config_resolved": resolved, "git_commit": "0123456789abcdef", "git_dirty": False,
            "islands": list(self.islands), "num_workers": len(self.islands), "host": "hill",
        }  # fmt: skip

    def store(self, worker, resume=False):
        header = {"worker": worker, "host": "hill", "versions": {"hpctrain": "0.1.0"}}
        return RunStore.open_for_writing(
            self.run_dir, worker, header, resume, identity=self.identity()
        )

    def part(self, worker, rounds, resume=False, end="finish", held_out=True, before=()):
        """One part of one worker: `rounds` is (number, end in seconds) of each."""
        with self.store(worker, resume) as store:
            for kind, row in before:
                store.note(kind, {"worker": worker, **row})
            for number, time_s in rounds:
                self.round(store, worker, number, time_s, held_out)
            if end:
                last_s = rounds[-1][1] if rounds else 0.0
                store.note("event", {"time_s": last_s, "worker": worker, "kind": end, "text": "x"})

    def round(self, store, worker, number, time_s, held_out=True):
        at = {"time_s": time_s, "worker": worker}
        store.note(
            "round",
            at | PHASES_S | {
                "island": worker, "round": number, "steps": 10, "tokens": 1000,
                "loss_mean": 4.0 / (number + 1), "bytes_sent": 5000, "bytes_received": 5000,
            },
        )  # fmt: skip
        store.note("outer_update", at | self.update(worker, number))
        if held_out:
            loss = 3.0 / (number + 1)
            where = {"round": number, "domain": self.islands[worker], "loss": loss}
            store.note("evaluation", at | where)

    def update(self, worker, number, **other):
        return {
            "fragment": worker, "version": number + 1, "sender": worker, "round": number,
            "staleness": number * (worker + 1), "weight": 0.5, "steps": 10, "tokens": 1000,
            "kept": 3, "shrunk": worker, "rotated": 1, "refused": False, **other,
        }  # fmt: skip


@pytest.fixture
def small_run(tmp_path):
    """Makes a run with the given islands."""

    def make(**settings):
        return SmallRun(tmp_path / "runs" / "small", **settings)

    return make


@pytest.fixture
def shown():
    """What `show` prints of a run, at 80 columns."""

    def show(run_dir, life=GONE):
        out = StringIO()
        print_run(open_run(run_dir), life, Console(file=out, width=80, highlight=False))
        return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"

    return show
