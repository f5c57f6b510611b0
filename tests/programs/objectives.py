"""Objectives of searches that tests run under mpirun."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np


def sphere(candidate: Mapping[str, Any]) -> float:
    return candidate["x"] ** 2 + candidate["y"] ** 2


def slow_sphere(candidate: Any) -> float:
    """Twenty milliseconds; on worker 0 a whole second."""
    time.sleep(1.0 if candidate.worker == 0 else 0.02)
    return sphere(candidate)


def brief(candidate: Any) -> float:
    time.sleep(0.005)
    return sphere(candidate)


def nasty(candidate: Any) -> Any:
    """Everything that can go wrong, by the candidate's number."""
    match candidate.number % 8:
        case 0:
            raise ValueError("the learning rate was eaten")
        case 1:
            return float("nan")
        case 2:
            return float("inf")
        case 3:
            return None
        case 4:
            time.sleep(30)
        case 5:
            raise SystemExit(3)
        case 6:
            return {"loss": np.float32(sphere(candidate)), "cost": 2}
    return sphere(candidate)


def team(candidate: Any) -> float:
    """All ranks of the worker must take part."""
    ranks = candidate.comm.allreduce(candidate.rank)
    assert ranks == sum(range(candidate.size))
    if candidate.number == 3 and candidate.rank == 1:
        raise RuntimeError("only one of us")
    return sphere(candidate) + (0.0 if candidate.rank == 0 else 100.0)


def abandoned(candidate: Any) -> float:
    """One rank fails, and the other waits for it for ever."""
    if candidate.number == 2 and candidate.rank == 1:
        raise RuntimeError("gone without a word")
    candidate.comm.barrier()
    return sphere(candidate)


def unlike(candidate: Any) -> float:
    """The ranks of a worker do not report alike."""
    if candidate.number == 3 and candidate.rank == 1:
        raise ValueError("before its mate reports")
    reports = 2 if candidate.number == 4 and candidate.rank == 0 else 5
    for _ in range(reports):
        candidate.report(1.0)
    return sphere(candidate)


def curve(candidate: Any) -> Iterator[float]:
    """A generator: values on the way."""
    loss = sphere(candidate)
    for step in range(1, 10):
        time.sleep(0.002)
        yield loss + 1.0 / step


def files(candidate: Any) -> float:
    (candidate.directory / "note.txt").write_text(f"{candidate.seed} {os.getpid()}")
    return sphere(candidate)


def steady(candidate: Any) -> float:
    """Takes 0.2 s of processor time."""
    until = time.process_time() + 0.2
    while time.process_time() < until:
        pass
    return (candidate["x"] - 0.3) ** 2
