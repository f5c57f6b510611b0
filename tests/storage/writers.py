"""A program that forks writers of a run on request: importing once saves seconds per writer.

Each line on stdin is JSON: run_dir, rank, resume, fifo, num_rows (0: until killed). The pid of the
writer is printed. The writer sends 8 bytes through the fifo after each row that `note` accepted.
"""

import json
import os
import signal
import sys
import time

from hpctrain.storage.store import RunStore

SPEED = 1000.0  # of the writers' clock, so that they fold every 10 ms or so


def write(run_dir, rank, resume, fifo, num_rows, identity=None):
    acks = os.open(fifo, os.O_WRONLY)
    store = RunStore.open_for_writing(
        run_dir,
        rank,
        {"worker": rank},
        resume,
        identity=identity,
        clock=lambda: time.monotonic() * SPEED,
    )
    row = 0
    while num_rows == 0 or row < num_rows:
        store.note("round", {"worker": rank, "round": row, "loss_mean": 1.0 / (row + 1)})
        os.write(acks, row.to_bytes(8, "little"))
        store.fold_if_due()
        row += 1
    store.close()


def main():
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the killed
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            try:
                write(**json.loads(line))
            finally:
                sys.stdout.flush()
                os._exit(0)
        print(pid, flush=True)


if __name__ == "__main__":
    main()
