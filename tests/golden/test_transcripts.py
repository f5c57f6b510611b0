"""Whole small clusters as text, compared to the letter.

After a change that is meant: `UPDATE_GOLDEN=1 pytest tests/golden`, and read the difference.
"""

import os
from pathlib import Path

import pytest

from hpctrain.runtime.transcript import Transcribed
from hpctrain.training.algorithm import Budget
from hpctrain.training.methods import make_method
from tests.synthetic import make_cluster

HERE = Path(__file__).parent
RUNS = {
    "heloco-2-unequal": {
        "method": make_method("heloco", sync_every=4),
        "step_s": [0.1, 0.25],
        "budget": Budget(steps=8),
    },
    "heloco-2-unequal-overlap": {
        "method": make_method("heloco", sync_every=4, overlap=True),
        "step_s": [0.1, 0.25],
        "budget": Budget(steps=8),
    },
    "diloco-3": {
        "method": make_method("diloco", sync_every=4),
        "step_s": [0.1, 0.15, 0.2],
        "budget": Budget(steps=12),
        "num_fragments": 1,
    },
    "ddp-2-time": {
        "method": make_method("ddp", sync_every=1),
        "step_s": [0.1, 0.25],
        "budget": Budget(seconds=0.35),
        "num_fragments": 1,
    },
    "mla-2-stop-in-mid-round": {
        "method": make_method("mla", sync_every=4),
        "step_s": [0.1, 0.25],
        "budget": Budget(steps=100),
        "stops": [(0, 0.55), (1, 1.3)],
        "num_fragments": 1,
    },
}


@pytest.mark.parametrize("name", RUNS)
def test_a_run_goes_as_it_is_written(name: str) -> None:
    lines: list[str] = []
    run = {"sizes": (3, 2), "latency_s": 0.01, **RUNS[name]}
    cluster = make_cluster(
        **run, wrap=lambda algorithm, me: Transcribed(algorithm, me, lines.append)
    )
    assert cluster.run().all_finished
    text = "\n".join(lines) + "\n"
    path = HERE / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text(), "see the head of this file for how to accept a change"
