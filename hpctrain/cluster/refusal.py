"""How a job ends whose settings are wrong: every rank with exit code 2, and one says why."""

from __future__ import annotations

import os
import sys
import time
from typing import NoReturn

from hpctrain.cluster.launcher import Launcher, read_launcher
from hpctrain.errors import HpctrainError, LaunchError

WRONG_INPUT = 2  # the exit code of click for wrong usage, and ours for wrong settings
PATIENCE_S = 5.0


def refuse(error: HpctrainError) -> NoReturn:
    """Say `error` once, and end.

    mpirun ends all ranks as soon as one has failed. A rank that does not speak therefore waits for
    that, so that the one that does is not ended before. Where MPI has joined the ranks nobody has
    to: no rank gets through its end before all are there. What is only wrong on another host (a
    file that is not there) is said by the first rank of that host, for nobody else knows of it.
    """
    launcher = read_launcher(os.environ)
    text = str(error)
    together = "mpi4py.MPI" in sys.modules and not isinstance(error, LaunchError)
    if not launcher.speaks and together:
        text = ""
    elif not launcher.speaks:
        time.sleep(PATIENCE_S)
        text = _of_another_host(launcher, text)
    if text:
        print(text, file=sys.stderr, flush=True)
    sys.exit(WRONG_INPUT)


def _of_another_host(launcher: Launcher, text: str) -> str:
    if launcher.local_rank != 0:
        return ""
    return "\n".join(f"[rank {launcher.rank} on {launcher.host}] {x}" for x in text.splitlines())
