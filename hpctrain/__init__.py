"""hpctrain: asynchronous training for PyTorch across island groups of a supercomputer.

    import hpctrain as ht                                   # mpirun -n 8 python train.py
    run = ht.init(method="heloco", sync_every=50)
    model, optimizer, loader = run.prepare(model, optimizer, loader)

Importing this package starts neither MPI nor CUDA, and loads neither torch nor numpy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpctrain.errors import ConfigError, HpctrainError, LaunchError, RunStoreError

if TYPE_CHECKING:
    from hpctrain.compose.script import Run

__version__ = "0.1.0"

__all__ = [
    "ConfigError",
    "HpctrainError",
    "LaunchError",
    "RunStoreError",
    "__version__",
    "init",
    "open_run",
]


def init(**settings: Any) -> Run:
    """Begin a training run in this script, on every rank that a launcher started.

    Args:
        settings: what `run.toml` can say, as keywords: `method="heloco"`, `sync_every=50`,
            `run_dir="runs/a"`, `resume=True`, `seed=1`; whole sections as dicts: `stop={"steps":
            10_000}`. See docs/guide.md for all of them.

    Returns:
        The run. Its `prepare(model, optimizer, ...)` makes a loop part of it.

    Raises:
        SystemExit: 2, after a line on stderr for each setting that is not allowed, on every rank.
    """
    from hpctrain.compose.script import init as begin

    return begin(**settings)


def open_run(run_dir: str) -> Any:
    """What a run directory holds: `open_run(d).table("round")` is a dict of numpy arrays.

    Raises:
        RunStoreError: if `run_dir` holds no run.
    """
    from hpctrain.storage.read import open_run as open_store

    return open_store(run_dir)
