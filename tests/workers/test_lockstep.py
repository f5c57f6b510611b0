"""What the leader of a worker tells the other ranks, in memory."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from hpctrain.workers.lockstep import Lockstep, SingleRank, Word


class Wire(SingleRank):
    """Two ranks that take turns in one thread: what the leader broadcasts waits for the other."""

    size = 2

    def __init__(self, rank: int, words: deque[Any]) -> None:
        self.rank = rank
        self._words = words

    def broadcast(self, data: Any) -> None:
        if self.rank == 0:
            self._words.append(data.copy())
        else:
            np.copyto(data, self._words.popleft())


class NoModel:
    """A replica of nothing."""

    sharded = False
    fragments = ()


def make(rank: int, words: deque[Any]) -> tuple[Lockstep, list[float]]:
    lockstep, told = Lockstep(NoModel(), Wire(rank, words), lambda number: None), []  # type: ignore[arg-type]
    lockstep.at_progress = told.append
    return lockstep, told


def test_all_ranks_of_a_worker_hear_the_same_progress() -> None:
    words: deque[Any] = deque()
    leader, heard_by_leader = make(0, words)
    other, heard_by_other = make(1, words)
    leader.tell_progress(1 / 3)
    leader.say(Word.GO)
    assert other.follow() is Word.GO
    assert heard_by_leader == heard_by_other
    assert abs(heard_by_other[0] - 1 / 3) < 1e-9


def test_all_ranks_of_a_worker_change_their_domain() -> None:
    words: deque[Any] = deque()
    (leader, _), (other, _) = make(0, words), make(1, words)
    heard: list[int] = []
    leader.at_domain = other.at_domain = heard.append
    leader.tell_domain(3)
    leader.say(Word.GO)
    assert other.follow() is Word.GO
    assert heard == [3, 3]


def test_nothing_is_said_to_ranks_that_do_not_want_to_know() -> None:
    words: deque[Any] = deque()
    leader, _ = make(0, words)
    leader.at_progress = None
    leader.tell_progress(0.5)
    assert not words
