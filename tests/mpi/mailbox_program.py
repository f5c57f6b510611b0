"""Every rank keeps its half of the promises of `tests.mailbox_contract`; run it under mpirun."""

import sys
from pathlib import Path
from time import monotonic

from mpi4py import MPI

sys.path.insert(0, str(Path(__file__).parents[2]))

from hpctrain.mpi import mailbox as module
from tests.mailbox_contract import PROMISES, keep_as_rank

PATIENCE_S = 20.0


def main() -> None:
    comm = MPI.COMM_WORLD
    if "--small-pieces" in sys.argv:  # as if MPI refused messages over 4 KB
        module.PIECE_BYTES = 4096
    if "--backwards" in sys.argv:  # the leader of worker 0 is the last rank
        leaders = list(reversed(range(comm.size)))
    else:
        leaders = list(range(comm.size))
    me = leaders.index(comm.rank)
    box = module.MpiMailbox(comm.Dup(), leaders)
    for promise in PROMISES:
        before = box.bytes_sent
        until_s = monotonic() + PATIENCE_S
        keep_as_rank(promise, box, me, comm.size, lambda end_s=until_s: monotonic() > end_s)
        sent, received = comm.allreduce(box.bytes_sent), comm.allreduce(box.bytes_received)
        assert sent == received, (promise.name, sent, received)
        assert me == 0 or box.bytes_sent > before
        while not box.drained():
            assert monotonic() < until_s, f"{promise.name}: not drained"
        assert box.receive() is None
        comm.Barrier()
    box.close()
    if comm.rank == 0:
        print("all promises kept", flush=True)


if __name__ == "__main__":
    try:
        main()
    except BaseException:
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
        MPI.COMM_WORLD.Abort(1)
