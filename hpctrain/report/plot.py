"""`hpctrain show --plot`: draws a run or a search into its directory, without a window."""

from __future__ import annotations

from pathlib import Path

from hpctrain.errors import HpctrainError
from hpctrain.report.searches.records import read_search
from hpctrain.report.tables import RunTables

PLOT_STEM = "show"


def plot_run(run: RunTables, fmt: str) -> Path:
    """Draw `run` as `plot_training` does; where the drawing of all of it is.

    Raises:
        HpctrainError: if matplotlib is missing, or a file cannot be written.
    """
    return plot_training(run, fmt)[0]


def plot_training(run: RunTables, fmt: str) -> list[Path]:
    """Draw `run` into its directory; the same run, the same pictures.

    Always `show.png` or `show.svg`; `show-along` if it was evaluated more than once;
    `show-corrections` if the correction of each tensor was noted.

    Raises:
        HpctrainError: if matplotlib is missing, or a file cannot be written.
    """
    need_matplotlib()
    from hpctrain.report.drawings import training_drawings
    from hpctrain.report.figure import save

    paths = []
    for name, draw in training_drawings(run):
        path = run.run_dir / f"{PLOT_STEM}{f'-{name}' if name else ''}.{fmt}"
        try:
            save(draw, path)
        except OSError as error:
            raise HpctrainError(f"cannot write {path}: {error}") from error
        paths.append(path)
    return paths


def plot_search(run: RunTables, fmt: str) -> list[Path]:
    """Draw a search as `show-history.png` and others; nothing if no evaluation gave a loss.

    Raises:
        HpctrainError: if matplotlib is missing, or a file cannot be written.
    """
    need_matplotlib()
    from hpctrain.report.searches.plots.figures import drawing_bytes, drawings

    paths = []
    for drawing in drawings(read_search(run)):
        path = run.run_dir / f"{PLOT_STEM}-{drawing.name}.{fmt}"
        try:
            path.write_bytes(drawing_bytes(drawing, f".{fmt}"))
        except OSError as error:
            raise HpctrainError(f"cannot write {path}: {error}") from error
        paths.append(path)
    return paths


def need_matplotlib() -> None:
    """Raises HpctrainError, which says how to install it."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise HpctrainError(
            f"drawing needs matplotlib, which cannot be imported here ({error}); install it by: "
            "pip install 'hpctrain[plot]'"
        ) from None
