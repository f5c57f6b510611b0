"""`with hpctrain.region("name")`: energy of a piece of the user's program."""

from __future__ import annotations

import os
import threading
from contextlib import ContextDecorator
from types import TracebackType

from hpctrain.metering.ledger import Key, Ledger

NOT_BOOKED = 0


class _Books:
    """Where regions of this process are booked, if anywhere."""

    ledger: Ledger | None = None


class _Frames(threading.local):
    """The regions that this thread is in, outer first: region, its name, its handle."""

    def __init__(self) -> None:
        self.stack: list[tuple[region, str, int]] = []


_books = _Books()
_frames = _Frames()


def book_regions_in(ledger: Ledger | None) -> None:
    """From now on; None: nowhere."""
    _books.ledger = ledger


# A forked process, such as a DataLoader's worker, has a copy of the books, whose lock may be held
# by a thread that it does not have, and whose rows would go into the log of the rank.
os.register_at_fork(after_in_child=lambda: book_regions_in(None))


class region(ContextDecorator):  # noqa: N801  (it is used like a function)
    """A block, or a function, whose energy is booked under a name of its own.

        with hpctrain.region("tokenise"):
            ...

        @hpctrain.region("augment")
        def augment(batch): ...

    What is booked is this rank's share while the block runs. A region inside of another is booked
    as "outer/inner", and in the outer one as well; a region that is entered again before it has
    ended (recursion) belongs to the outermost call. Threads may be in regions at the same time:
    each is booked for its own time. A block that raises is booked until then. Without sensors,
    outside of a run, or in a process that the rank started, it does nothing. It costs a few
    microseconds.

    Args:
        name: any text; "/" separates levels.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> region:
        ledger = _books.ledger
        if ledger is not None:
            stack, name = _frames.stack, self.name
            path: str | None = name
            if stack:
                names = [outer for _, outer, handle in stack if handle]
                path = None if name in names else "/".join([*names, name])
            handle = NOT_BOOKED if path is None else ledger.begin(Key("region", path))
            stack.append((self, name, handle))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        stack = _frames.stack
        place = len(stack) - 1
        while place >= 0 and stack[place][0] is not self:  # mostly the last one is it
            place -= 1
        if place >= 0:
            handle, ledger = stack.pop(place)[2], _books.ledger
            if handle and ledger is not None:
                ledger.end(handle)
