"""The door to Optuna: a search as a study that Optuna and its dashboard open.

It works on the document that `hpctrain export --to json` writes. Candidates become trials in the
order of their numbers: done is COMPLETE, stopped by a rule is PRUNED, all others are FAIL; a
candidate that was known already is COMPLETE again. What Optuna has no place for becomes a user
attribute.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from math import floor
from pathlib import Path
from typing import Any

from hpctrain.errors import HpctrainError

SQLITE = (".db", ".sqlite", ".sqlite3")
GRID_TOLERANCE = 1e-9  # of a step
KEPT = ("outcome", "reason", "made_by", "worker", "island", "took_s", "cost")

Document = Mapping[str, Any]


def write_study(document: Document, path: Path) -> str:
    """Add a search to an Optuna storage.

    It is SQLite if `path` ends in .db, .sqlite or .sqlite3, else a journal. Optuna takes about
    40 ms per trial for SQLite, and 1 ms for a journal.

    Returns:
        The name of the study: that of the run.

    Raises:
        HpctrainError: if Optuna is missing, or the storage has a study of that name already.
    """
    optuna = _optuna()
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        if path.suffix in SQLITE:
            return _write(optuna, document, f"sqlite:///{path.resolve()}")
        batch = _Batch(optuna.storages.journal.JournalFileBackend(str(path)))
        name = _write(optuna, document, optuna.storages.JournalStorage(batch))
        batch.write()
        return name
    except optuna.exceptions.DuplicatedStudyError:
        raise HpctrainError(
            f"{path} has a study {document['name']!r} already; choose another file"
        ) from None
    finally:
        optuna.logging.set_verbosity(before)


def trials(document: Document) -> Iterator[Any]:
    """The candidates as Optuna's frozen trials."""
    optuna = _optuna()
    distributions = {
        name: distribution
        for name, table in document["space"].items()
        if (distribution := _distribution(optuna, table)) is not None
    }
    started = _local(document["started"])
    for candidate in document["candidates"]:
        yield _trial(optuna, candidate, distributions, started)


class _Batch:
    """A backend of Optuna's journal that writes everything at once: each entry is an fsync else."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._entries: list[dict[str, Any]] = list(file.read_logs(0))
        self._in_file = len(self._entries)

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        return self._entries[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        self._entries += [json.loads(json.dumps(entry)) for entry in logs]

    def write(self) -> None:
        self._file.append_logs(self._entries[self._in_file :])


def _write(optuna: Any, document: Document, storage: Any) -> str:
    study = optuna.create_study(
        storage=storage, study_name=document["name"],
        directions=["minimize"] * len(document["losses"]),
    )  # fmt: skip
    _describe(study, document)
    study.add_trials(trials(document))
    return str(study.study_name)


def _trial(
    optuna: Any, candidate: Mapping[str, Any], distributions: Mapping[str, Any],
    started: datetime | None,
) -> Any:  # fmt: skip
    given = {name: v for name, v in candidate["parameters"].items() if name in distributions}
    state, values = _state(optuna, candidate)
    trial = optuna.trial.create_trial(
        state=state,
        values=values,
        params=given,
        distributions={name: distributions[name] for name in given},
        intermediate_values={step: v for step, v in candidate["values"] if v is not None},
        user_attrs={"candidate": candidate["number"]}
        | {key: candidate[key] for key in KEPT if candidate[key] is not None},
    )
    if started is not None:
        ended_s = candidate["ended_s"] or 0.0
        began_s = ended_s if candidate["began_s"] is None else candidate["began_s"]
        trial.datetime_start = started + timedelta(seconds=began_s)
        trial.datetime_complete = started + timedelta(seconds=ended_s)
    return trial


def _state(optuna: Any, candidate: Mapping[str, Any]) -> tuple[Any, list[float] | None]:
    """The state and the values; Optuna also gives a pruned trial its last value."""
    states, losses = optuna.trial.TrialState, candidate["losses"]
    if candidate["outcome"] in ("done", "reused") and None not in losses:
        return states.COMPLETE, list(losses)
    if candidate["outcome"] == "stopped":
        last = candidate["last_value"]
        return states.PRUNED, [last] if last is not None and len(losses) == 1 else None
    return states.FAIL, None


def _distribution(optuna: Any, table: Mapping[str, Any]) -> Any:
    """None for a constant."""
    kinds = optuna.distributions
    if "options" in table:
        return kinds.CategoricalDistribution(tuple(table["options"]))
    if "low" not in table:
        return None
    low, high, step = table["low"], table["high"], table.get("step")
    if step is not None:  # Optuna wants the last value of the grid
        high = low + floor((high - low) / step + GRID_TOLERANCE) * step
    log = bool(table.get("log"))
    if all(type(number) is int for number in (low, high, step or 0)):
        return kinds.IntDistribution(low, high, log, 1 if step is None else step)
    return kinds.FloatDistribution(low, high, log, step)


def _describe(study: Any, document: Document) -> None:
    constants = {n: t["value"] for n, t in document["space"].items() if "value" in t}
    for key, value in (
        ("objective", document["objective"]),
        ("propagator", document["propagator"]),
        ("constants", constants),
        ("versions", document["versions"]),
    ):
        if value:
            study.set_user_attr(key, value)


def _local(text: str) -> datetime | None:
    """Optuna's times are local and have no zone."""
    return datetime.fromisoformat(text).astimezone().replace(tzinfo=None) if text else None


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise HpctrainError(
            f"a study needs Optuna, which cannot be imported here ({error}); install it by: "
            "pip install 'hpctrain[optuna]'"
        ) from None
    return optuna
