"""torch.distributed over the ranks of one worker: for DDP, FSDP2 and means on GPUs."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import torch.distributed

from hpctrain.errors import HpctrainError

if TYPE_CHECKING:
    from hpctrain.core.topology import Topology
    from hpctrain.runtime.ports import World

PATIENCE = timedelta(minutes=5)  # for ranks to come: they are all at this very place
THREADS = Path("/proc/self/task")
REST_S = 5.0  # the longest time that a thread of gloo is given to end its work


def init_worker_group(world: World, topology: Topology, backend: str) -> None:
    """Collective over all ranks of the run. The default group of torch is this worker's after it.

    The first rank of each worker listens on a port that its system chooses, and tells it over MPI:
    no port has to be agreed upon, and none can be taken by another job.

    Raises:
        HpctrainError: if torch has a process group already, or was built without.
    """
    if not torch.distributed.is_available():
        raise HpctrainError("this torch was built without torch.distributed; install another")
    if torch.distributed.is_initialized():
        raise HpctrainError(
            "torch.distributed was set up before run.init_process_group(); leave one of them out"
        )
    from torch.distributed import TCPStore  # type: ignore[attr-defined]  # not exported by name

    worker = topology.worker_of(world.rank)
    leader, hosts = worker.ranks[0], world.hosts()
    together = len({hosts[rank] for rank in worker.ranks}) == 1
    host, size = "127.0.0.1" if together else hosts[leader], len(worker.ranks)
    store = None
    if world.rank == leader:
        store = TCPStore(host, 0, size, is_master=True, timeout=PATIENCE, wait_for_workers=False)
    ports = world.gather(None if store is None else store.port)
    if store is None:
        store = TCPStore(host, ports[leader], size, is_master=False, timeout=PATIENCE)
    torch.distributed.init_process_group(
        backend, store=store, rank=worker.ranks.index(world.rank), world_size=size
    )


def leave_worker_group(ours: bool) -> None:
    """For an interpreter that is about to end. No communication.

    Args:
        ours: `init_worker_group` made torch's process group: it is given up. A script's own is not.
    """
    if ours and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    let_gloo_rest()


def let_gloo_rest(patience_s: float = REST_S) -> None:
    """Wait until no thread of gloo is at work.

    Such a thread lets go of the tensors of a collective only after whoever waits for it has gone
    on. If that needs the interpreter's lock while the interpreter ends, the process aborts: torch
    leaves it to chance (pytorch/pytorch#179291), and on a busy machine loses.
    """
    until = time.monotonic() + patience_s
    states = _states(THREADS)
    while states and time.monotonic() < until:
        time.sleep(0.01)  # without the lock: a thread that waits for it is woken, thus runnable
        states = [state for state in _states(THREADS) if state == "R"]


def _states(threads: Path) -> list[str]:
    """Of the threads of gloo that run collectives: R, computes or waits for a core; S, rests."""
    states = []
    for stat in threads.glob("*/stat"):
        try:
            name, _, rest = stat.read_text().partition("(")[2].rpartition(")")
        except OSError:  # the thread has ended
            continue
        if "gloo_runloop" in name:
            states.append(rest.split()[0])
    return states
