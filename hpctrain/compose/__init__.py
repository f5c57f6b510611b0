"""Where the parts are put together: one module per way of using hpctrain. Imports are lazy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hpctrain.config import RunConfig


def train(config: RunConfig) -> int:
    """`hpctrain train`: run `config` on the ranks that were started. Returns the exit code."""
    from hpctrain.compose.train import train as run

    return run(config)


def search(config: RunConfig) -> int:
    """`hpctrain search`: search what `config` describes on the ranks that were started."""
    from hpctrain.compose.search import search_file as run

    return run(config)


def simulate(config: RunConfig) -> int:
    """`hpctrain simulate`: run `config` in virtual time in this process. Returns the exit code."""
    from hpctrain.compose.simulate import simulate as run

    return run(config)


def replay(run_dir: str | Path) -> int:
    """`hpctrain replay`: make a recorded run again and compare. Returns the exit code."""
    from hpctrain.compose.replay import replay as run

    return run(Path(run_dir))


def show(run_dir: str | Path, plot: bool, fmt: str, top: int = 10, html: bool = False) -> int:
    """`hpctrain show`: say what happened in a run, and draw it. Returns the exit code."""
    from hpctrain.compose.show import show as run

    return run(Path(run_dir), plot, fmt, top, html)
