"""`hpctrain export`: the candidates of a search as CSV, JSON, a pandas table or an Optuna study."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from hpctrain.adapters.frames import to_frame
from hpctrain.adapters.optuna_study import write_study
from hpctrain.errors import HpctrainError
from hpctrain.report.searches.document import (
    Document,
    column_names,
    flat_rows,
    search_document,
    write_csv,
    write_json,
)
from hpctrain.report.searches.records import is_search, read_search
from hpctrain.report.tables import RunTables
from hpctrain.storage.read import open_run

Target = Literal["csv", "json", "optuna"]


def export(run_dir: Path, to: Target, path: Path) -> str:
    """Write the search in `run_dir` into the file `path`; says what was written.

    Raises:
        HpctrainError: if this is no search, the file cannot be written, or Optuna is missing.
    """
    document = document_of(open_run(run_dir))
    count = f"{len(document['candidates']):,} candidates"
    try:
        if to == "optuna":
            name = write_study(document, path)
            return f"{count} are the study {name!r} in {path}"
        with path.open("w", encoding="utf-8", newline="") as file:
            (write_json if to == "json" else write_csv)(document, file)
    except OSError as error:
        raise HpctrainError(f"cannot write {path}: {error}") from error
    return f"{count} are in {path}"


def to_pandas(run: RunTables | Path | str) -> Any:
    """All candidates of a search as a `pandas.DataFrame`, with a column `param.NAME` each.

    Args:
        run: what `open_run` gave, or the run's directory.

    Raises:
        HpctrainError: if this is no search, or pandas is missing.
    """
    document = document_of(open_run(run) if isinstance(run, str | Path) else run)
    return to_frame(column_names(document), list(flat_rows(document)), document["space"])


def document_of(run: RunTables) -> Document:
    """The versioned document that all exports are made from.

    Raises:
        HpctrainError: if this is no search.
    """
    if not is_search(run):
        raise HpctrainError(f"{run.run_dir} holds a training; only searches can be exported")
    return search_document(read_search(run))
