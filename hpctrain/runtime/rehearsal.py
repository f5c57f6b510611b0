"""An algorithm replayed from a full recording: all workers in one loop, no work, no time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hpctrain.core.algorithm import Algorithm
from hpctrain.core.events import Done, Started
from hpctrain.errors import HpctrainError
from hpctrain.runtime.driver import Driver
from hpctrain.runtime.memory import MemoryPost
from hpctrain.runtime.ports import NullNotebook
from hpctrain.runtime.recording import CARRIED_OUT, Entry, Score


class _NoClock:
    def now_s(self) -> float:
        return 0.0  # a recording brings its own times


class _NoRanks:
    """Takes orders and does nothing: results come from the recording."""

    def order(self, work: Any) -> None:
        """Forget it."""

    def cancel(self, reason: str) -> None:
        """Nothing to cancel."""


class _Player:
    """One worker on stage."""

    def __init__(self, algorithm: Algorithm[Any], me: int, post: MemoryPost, score: Score) -> None:
        self.score = score
        self.driver = Driver(
            algorithm, me, post.mailbox(me), _NoRanks(), NullNotebook(), _NoClock(),
            steps_done=lambda: 1 << 62, score=score,
        )  # fmt: skip

    def play(self) -> bool:
        """Do everything that can be done now; True if there was anything."""
        before = self.score.played
        while (entry := self.score.due(1 << 62)) is not None:
            played = self.score.played
            if entry.kind == CARRIED_OUT:
                self.driver.carried_out()
            elif entry.kind == "Started":
                self.driver.handle(Started())
            elif entry.kind == "Done":
                assert isinstance(entry.event, Done)
                self.driver.handle(entry.event)
            else:
                self.driver.pump()
            if self.score.played == played:
                break
        return self.score.played > before


def rehearse(algorithm: Algorithm[Any], scores: Sequence[Sequence[Entry]]) -> list[Any]:
    """Follow full recordings, one per worker, to their ends; the final state of each worker.

    Raises:
        HpctrainError: if they do not fit together.
    """
    post = MemoryPost(len(scores))
    players = [_Player(algorithm, me, post, Score(entries)) for me, entries in enumerate(scores)]
    while any(player.score for player in players):
        if not sum(player.play() for player in players):
            stuck = [me for me, player in enumerate(players) if player.score]
            raise HpctrainError(
                f"the recording does not fit together: workers {stuck} wait for messages that "
                "nobody sends; is a file missing, or was the run killed?"
            )
    return [player.driver.state for player in players]
