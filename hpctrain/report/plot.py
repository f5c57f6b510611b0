"""`hpctrain show --plot`: draws a run into its directory, without a window."""

from __future__ import annotations

from pathlib import Path

from hpctrain.errors import HpctrainError
from hpctrain.report.accounts import island_accounts
from hpctrain.report.facts import read_facts
from hpctrain.report.records import read_records
from hpctrain.report.tables import RunTables

PLOT_STEM = "show"


def plot_run(run: RunTables, fmt: str) -> Path:
    """Draw `run` as `show.png` or `show.svg` in its directory; the same run, the same picture.

    Raises:
        HpctrainError: if matplotlib is missing, or the file cannot be written.
    """
    _need_matplotlib()
    from hpctrain.report.figure import draw_run, save

    facts, records = read_facts(run), read_records(run)
    path = run.run_dir / f"{PLOT_STEM}.{fmt}"
    try:
        save(lambda: draw_run(facts, records, island_accounts(facts, records)), path)
    except OSError as error:
        raise HpctrainError(f"cannot write {path}: {error}") from error
    return path


def _need_matplotlib() -> None:
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise HpctrainError(
            f"drawing needs matplotlib, which cannot be imported here ({error}); install it by: "
            "pip install 'hpctrain[plot]'"
        ) from None
