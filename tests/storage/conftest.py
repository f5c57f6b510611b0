import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("writers.py")


@dataclass(frozen=True)
class Writer:
    """A process that writes rows; what it has acknowledged comes through a pipe."""

    pid: int
    acks_fd: int

    def first_row(self) -> bytes:
        return os.read(self.acks_fd, 8)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def num_acknowledged(self) -> int:
        """How many rows were acknowledged since `first_row`; waits until the writer has ended."""
        acks = b""
        while piece := os.read(self.acks_fd, 1 << 16):
            acks += piece
        os.close(self.acks_fd)
        return len(acks) // 8


class Writers:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process = subprocess.Popen(
            [sys.executable, PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._count = 0

    def start(self, run_dir, rank=0, resume=False, num_rows=0, identity=None) -> Writer:
        self._count += 1
        fifo = self._directory / f"acks-{self._count}"
        os.mkfifo(fifo)
        order = {"run_dir": str(run_dir), "rank": rank, "resume": resume, "fifo": str(fifo)}
        order |= {"num_rows": num_rows, "identity": identity}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        pid = int(self._process.stdout.readline())
        return Writer(pid, os.open(fifo, os.O_RDONLY))

    def stop(self) -> None:
        self._process.stdin.close()
        self._process.wait(timeout=10)
        self._process.stdout.close()


@pytest.fixture(scope="session")
def writers(tmp_path_factory):
    """Starts processes that write runs."""
    started = Writers(tmp_path_factory.mktemp("fifos"))
    yield started
    started.stop()
