"""Where a worker's time goes."""

import sys
import threading
from collections.abc import Iterator
from time import perf_counter

import pytest

from hpctrain.workers.phases import Phases


@pytest.fixture
def threads_take_turns_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("threads_take_turns_often")
def test_another_thread_sees_every_moment_in_one_phase() -> None:
    """The sum is the time since the start, whenever it is asked: no phase twice, and none lost."""
    before_s = perf_counter()
    phases = Phases()
    began_s = perf_counter()
    over = threading.Event()
    wrong: list[tuple[float, float, float]] = []

    def ask() -> None:
        while not over.is_set():
            low_s = perf_counter() - began_s
            told_s = sum(phases.until_now_ns().values()) / 1e9
            high_s = perf_counter() - before_s
            if not low_s - 1e-6 < told_s < high_s + 1e-6:
                wrong.append((low_s, told_s, high_s))

    thread = threading.Thread(target=ask)
    thread.start()
    while perf_counter() - began_s < 1.0:
        phases.enter("compute")
        phases.enter("exchange")
        phases.lap()
    over.set()
    thread.join()
    assert wrong == []
