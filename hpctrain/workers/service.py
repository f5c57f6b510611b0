"""A thread that answers other workers while this one is inside an inner step.

Asynchronous workers wait for the answers of homes, and a home that looks into its mailbox only
between steps of 300 ms makes all others wait that long. The thread looks once a millisecond; more
often, or in a blocking receive, it would cost the training up to half its speed. Steps shorter than
`WORTH_IT_S` need no thread.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, RLock, Thread

LOOK_EVERY_S = 0.001
WORTH_IT_S = 0.005


class ServiceThread:
    """Calls `look` under `lock`, every millisecond or as asked, until stopped.

    Args:
        look: must return at once.
        lock: the same that protects `look` elsewhere.
        failed: told of an exception in `look`, which ends the thread.
        every_s: how often it looks.
    """

    def __init__(
        self,
        look: Callable[[], None],
        lock: RLock,
        failed: Callable[[BaseException], None],
        every_s: float = LOOK_EVERY_S,
    ) -> None:
        self._look = look
        self._lock = lock
        self._failed = failed
        self._every_s = every_s
        self._over = Event()
        self._thread = Thread(target=self._run, name="hpctrain-service", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns when the thread has ended."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        try:
            while not self._over.wait(self._every_s):
                if self._lock.acquire(blocking=False):
                    try:
                        self._look()
                    finally:
                        self._lock.release()
        except BaseException as error:
            self._failed(error)
