"""Random streams depend on run, worker and purpose, and on nothing else."""

import numpy as np
import torch

from hpctrain.core.seeds import stream


def test_a_stream_is_the_same_in_every_process_and_version() -> None:
    assert stream(0, 0, "data") == 217848937483500694
    assert stream(1, 2, "jitter/3") == 4081204549442521390


def test_streams_of_workers_purposes_and_runs_differ() -> None:
    seeds = {stream(r, w, p) for r in range(20) for w in range(50) for p in ("data", "init", "1/2")}
    assert len(seeds) == 20 * 50 * 3


def test_a_stream_fits_the_generators_it_is_for() -> None:
    for worker in range(100):
        seed = stream(7, worker, "x")
        assert 0 <= seed < 2**63
        torch.Generator().manual_seed(seed)
        np.random.default_rng(seed)
