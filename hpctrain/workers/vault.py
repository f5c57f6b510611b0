"""What a rank puts into a snapshot, and how it takes up work from one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from hpctrain.core.events import Received
from hpctrain.errors import RunStoreError
from hpctrain.runtime.codec import from_block, to_block
from hpctrain.runtime.driver import Driver
from hpctrain.runtime.snapshot import InFlight
from hpctrain.training.state import TrainingState
from hpctrain.workers.generators import generator_states
from hpctrain.workers.session import Session

Part = tuple[str, int, str]


class PartWriter(Protocol):
    """Where parts are written; `hpctrain.storage` has it."""

    def write_part(self, number: int, name: str, tree: Any) -> Any: ...

    def commit(self, number: int, parts: list[Any], meta: dict[str, Any]) -> Any: ...


class TrainingVault:
    """The `Vault` port for training.

    Args:
        writer: writes parts.
        rank, worker: of this process.
        own: everything of this rank but the algorithm: model, optimizer, data position.
        meta: what a manifest says about the run.
        part_of: makes the writer's description of a part from (name, bytes, sha256).
        failed: told, at worker 0, why a snapshot could not be made; the run goes on without it.
    """

    def __init__(
        self,
        writer: PartWriter,
        rank: int,
        worker: int,
        own: Callable[[], dict[str, Any]],
        meta: Callable[[], dict[str, Any]],
        part_of: Callable[[Part], Any],
        failed: Callable[[str], None],
    ) -> None:
        self.session: Session | None = None
        self._writer = writer
        self._rank = rank
        self._worker = worker
        self._own = own
        self._meta = meta
        self._part_of = part_of
        self._failed = failed
        self._parts: list[Part] = []

    def save_rank(self, number: int) -> Part:
        """Write this rank's part: every rank of a worker does."""
        assert self.session is not None
        tree = {
            "own": self._own(),
            "generators": generator_states(),
            "gradient_owed": self.session.gradient_owed,
        }
        return self._write(number, f"rank-{self._rank:05d}", tree)

    def save_state(self, number: int) -> None:
        session, _ = self._leader()
        before = session.phases.enter("checkpoint")
        self._parts = session.lockstep.save(number)
        name = f"worker-{self._worker:05d}"
        self._parts.append(self._write(number, name, self._leader_state()))
        session.phases.enter(before)

    def save_end(self, number: int) -> list[Part]:
        """Write what a leader adds once everything has ended and nothing is under way."""
        name = f"worker-{self._worker:05d}"
        self._parts = [self._write(number, name, self._leader_state())]
        return self.save_in_flight(number, [])

    def _leader_state(self) -> dict[str, Any]:
        session, driver = self._leader()
        return {
            "algorithm": to_block(driver.state),
            "round": to_block(session.round.state),
            "orders": to_block(list(session.orders.waiting)),
            "cancelled": session.orders.cancelled,
            "timers": dict(driver.timers),
            "tally": session.tally(),
        }

    def save_in_flight(self, number: int, messages: InFlight) -> list[Part]:
        tree = {"messages": to_block(messages)}
        self._parts.append(self._write(number, f"in-flight-{self._worker:05d}", tree))
        return self._parts

    def commit(self, number: int, parts: list[Part]) -> None:
        problems = [name for name, _, sha256 in parts if not sha256]
        try:
            if not problems:
                infos = [self._part_of((name, size, sha256)) for name, size, sha256 in parts]
                self._writer.commit(number, infos, self._meta())
        except RunStoreError as error:
            problems = [str(error)]
        if problems:
            self._failed(f"checkpoint {number} was not saved: {'; '.join(problems)}")

    def _leader(self) -> tuple[Session, Driver[TrainingState]]:
        assert self.session is not None
        assert self.session.driver is not None
        return self.session, self.session.driver

    def _write(self, number: int, name: str, tree: Any) -> Part:
        """Write a part. One that cannot be written has no hash, and its name says why."""
        try:
            info = self._writer.write_part(number, name, tree)
        except RunStoreError as error:
            return (str(error), 0, "")
        return (info.name, info.bytes, info.sha256)


def restore_leader(
    session: Session, state: Mapping[str, Any], in_flight: Mapping[str, Any]
) -> None:
    """Put a worker's leader back to where a snapshot found it; messages in flight arrive first."""
    driver = session.driver
    assert driver is not None
    driver.state = from_block(state["algorithm"])
    session.round.state = from_block(state["round"])
    session.orders.waiting.extend(from_block(state["orders"]))
    session.orders.cancelled = state["cancelled"]
    driver.timers.update(state["timers"])
    session.restore_tally(state["tally"])
    for sender, message in from_block(in_flight["messages"]):
        driver.handle(Received(sender, message))
