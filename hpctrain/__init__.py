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
    from collections.abc import Callable, Mapping

    from hpctrain.compose.ask_tell import Search as SearchSession
    from hpctrain.compose.script import Run
    from hpctrain.compose.search_outcome import SearchResult
    from hpctrain.searching.parameters import Choice, Fixed, Float, Int
    from hpctrain.searching.space import Space
    from hpctrain.searching.stop import Stop
    from hpctrain.workers.candidate import StopCandidate
    from hpctrain.workers.regions import region

__version__ = "0.1.0"

__all__ = [
    "Choice",
    "ConfigError",
    "Fixed",
    "Float",
    "HpctrainError",
    "Int",
    "LaunchError",
    "RunStoreError",
    "Search",
    "Space",
    "Stop",
    "StopCandidate",
    "__version__",
    "init",
    "open_run",
    "region",
    "search",
    "train_candidate",
]

_LAZY = {
    "Choice": "hpctrain.searching.parameters",
    "Fixed": "hpctrain.searching.parameters",
    "Float": "hpctrain.searching.parameters",
    "Int": "hpctrain.searching.parameters",
    "Space": "hpctrain.searching.space",
    "Stop": "hpctrain.searching.stop",
    "StopCandidate": "hpctrain.workers.candidate",
    "region": "hpctrain.workers.regions",
}


def __getattr__(name: str) -> Any:
    """Load what scripts name without a call of `init` or `search` when it is first asked for."""
    if name not in _LAZY:
        raise AttributeError(f"module 'hpctrain' has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_LAZY[name]), name)
    return value


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


def search(
    objective: Callable[[Any], Any], space: Space | Mapping[str, Any], **settings: Any
) -> SearchResult:
    """Search `space` for the lowest loss, on all ranks that a launcher started.

    Args:
        objective: is called with a candidate, a mapping of parameters with more to it (`number`,
            `seed`, `directory`, `comm`, `report`). It returns a loss, several losses, or a dict
            with `loss` and perhaps `cost`; or it is a generator that yields the loss on the way.
            Whatever it raises is a failed evaluation, and the search goes on.
        space: parameters by name: `Float`, `Int`, `Choice`, `Fixed`, or in short `(1e-5, 1e-1)`,
            `(1, 8)`, `["a", "b"]`, `3`.
        settings: what `[search]` can say, as keywords, such as `stop={"evaluations": 100}`,
            `islands=2`, `ranks_per_worker=4`, `propagator="cma"`; and `run_dir`, `resume`, `seed`.
            See docs/search.md.

    Returns:
        What was found; the same on all ranks.

    Raises:
        SystemExit: 2, after a line on stderr for each setting that is not allowed, on every rank.
    """
    from hpctrain.compose.search import search_with

    return search_with(objective, space, settings)


def Search(space: Space | Mapping[str, Any], **settings: Any) -> SearchSession:  # noqa: N802
    """A search whose loop is the caller's: `ask()` for a candidate, `tell()` its loss.

    Takes the same settings as `search`; under a launcher every rank makes one.

    Raises:
        SystemExit: 2, after a line on stderr for each setting that is not allowed, on every rank.
    """
    from hpctrain.compose.search import ask_and_tell

    return ask_and_tell(space, settings)


def train_candidate(candidate: Any, config: str, changes: Mapping[str, Any]) -> float:
    """Inside of an objective: train a `run.toml` on the ranks of the candidate's worker.

    Collective among those ranks. The run lies in the candidate's directory; after each tenth of
    its steps it reports, so the search may end it.

    Args:
        candidate: as the objective got it.
        config: the path of a TOML file as for `hpctrain train`.
        changes: dotted keys and their values, such as `{"task.options.lr": candidate["lr"]}`.

    Returns:
        The mean held-out loss over all domains.

    Raises:
        ConfigError: if the file or a change makes no sense.
    """
    from hpctrain.compose.search_train import train_candidate as train
    from hpctrain.config import load_config

    return train(candidate, load_config(config), changes)


def open_run(run_dir: str) -> Any:
    """What a run directory holds: `open_run(d).table("round")` is a dict of numpy arrays.

    Raises:
        RunStoreError: if `run_dir` holds no run.
    """
    from hpctrain.storage.read import open_run as open_store

    return open_store(run_dir)
