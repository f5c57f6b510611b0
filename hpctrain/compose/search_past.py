"""What earlier parts of a search, and other searches, have found: read from their logs."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hpctrain.adapters.propulate_checkpoint import is_checkpoint, read_checkpoint
from hpctrain.errors import ConfigError
from hpctrain.searching.history import History, ranges_of
from hpctrain.searching.memory import averaged
from hpctrain.searching.messages import Tally
from hpctrain.searching.population import Needs, Population
from hpctrain.searching.record import Genome, Record, failed_record
from hpctrain.searching.rows import PARAMETER, loss_columns
from hpctrain.searching.space import Space
from hpctrain.storage.layout import RunLayout
from hpctrain.storage.log_reader import read_log
from hpctrain.storage.runs import is_run, read_identity

Row = Mapping[str, Any]

ENDED = ("done", "failed", "stopped", "reused")
MOST_RECORDS = 10_000  # newest evaluations that a resumed search remembers, beside the best


def candidate_rows(run_dir: Path) -> Iterator[Row]:
    """The rows of all candidates of a run, by rank and in the order of writing."""
    layout = RunLayout(run_dir)
    for rank in layout.logged_ranks():
        for record in read_log(layout.log(rank)).records:
            if record.kind == "candidate":
                yield record.fields


def history_of(
    run_dir: Path,
    space: Space,
    num_objectives: int,
    needs: Needs,
    others: Sequence[Record] = (),
    average: bool = False,
) -> tuple[History, float]:
    """What a run that is to be resumed has found, and the time on its clock.

    Args:
        run_dir: of the run.
        space: of the search; that the run had the same one is checked elsewhere.
        num_objectives: losses per evaluation.
        needs: of the propagator: which records are worth remembering.
        others: records of other runs.
        average: evaluations of the same genome are averaged.
    """
    means: dict[Genome, Record] = {}
    tally, numbers, best = Tally(), [], Population(Needs(max(needs.elites, 100), 0, needs.sample))
    newest: deque[Record] = deque(maxlen=MOST_RECORDS)
    latest_s = 0.0
    for row in candidate_rows(run_dir):
        latest_s = max(latest_s, row["time_s"])
        record = _record(row, space, num_objectives)
        _count(tally, row, record)
        if row["outcome"] in ENDED:
            numbers.append(row["number"])
        if row["outcome"] in ("done", "failed", "stopped"):
            if average and record.usable:
                known = means.get(record.genome)
                record = averaged(known, record) if known is not None else record
                means[record.genome] = record
            best.add(record)
            newest.append(record)
    kept = {record.number: record for record in (*best.elites, *best.sample, *newest)}
    records = (*others, *(kept[number] for number in sorted(kept)))
    return History(records, ranges_of(numbers), tally), latest_s


def warm_records(
    run_dirs: Sequence[str], space: Space, num_objectives: int, source: str
) -> list[Record]:
    """The usable evaluations of other runs that lie in `space`, under negative numbers.

    Raises:
        ConfigError: if one is no run, or none of its candidates fits.
    """
    records: list[Record] = []
    for run_dir in run_dirs:
        first = -1 - len(records)
        found = list(_fitting(_told(Path(run_dir), num_objectives, source), space, first))
        if not found:
            raise ConfigError(
                f"{source}: search.warm_start: {run_dir} has no finished candidate that fits the "
                f"parameters {', '.join(space.parameters)}; leave it out"
            )
        records += found
    return records


def check_same_space(run_dir: Path, space: Space, num_objectives: int, source: str) -> None:
    """Refuse to go on with a run that searched something else.

    Raises:
        ConfigError: with the way out.
    """
    identity = read_identity(RunLayout(run_dir))
    was = identity.get("search")
    if was is None:
        raise ConfigError(
            f"{source}: run_dir: {run_dir} holds a training, not a search; choose another run_dir"
        )
    if was["space"] != space.describe() or was["num_objectives"] != num_objectives:
        raise ConfigError(
            f"{source}: search.space: is not what {run_dir} has searched; to learn from it, choose "
            f'another run_dir and give search.warm_start = ["{run_dir}"]'
        )


Told = tuple[dict[str, Any], tuple[float, ...]]
"""A configuration and its losses."""


def _told(path: Path, num_objectives: int, source: str) -> Iterator[Told]:
    """What another search has found: a run of ours, or a checkpoint of propulate."""
    checkpoints = [path] if is_checkpoint(path) else sorted(path.glob("island_*_ckpt.pickle"))
    if checkpoints:
        for checkpoint in checkpoints:
            for individual in read_checkpoint(checkpoint):
                yield individual.config, (individual.loss,)
        return
    if not is_run(RunLayout(path)):
        raise ConfigError(
            f"{source}: search.warm_start: {path} is neither a run directory nor a checkpoint of "
            "propulate (island_0_ckpt.pickle)"
        )
    names = loss_columns(num_objectives)
    for row in candidate_rows(path):
        if row["outcome"] == "done" and all(name in row for name in names):
            yield _config(row), tuple(float(row[name]) for name in names)


def _fitting(told: Iterator[Told], space: Space, first: int) -> Iterator[Record]:
    """Records of what lies in `space`, numbered downwards from `first`."""
    number = first
    for config, losses in told:
        known = {name: value for name, value in config.items() if name in space.parameters}
        try:
            genome = space.encode(known)
        except ConfigError:
            continue
        record = Record(losses[0], number, genome, losses[1:])
        if record.usable:
            yield record
            number -= 1


def _record(row: Row, space: Space, num_objectives: int) -> Record:
    genome = space.encode(_config(row))
    if row["outcome"] not in ("done", "reused") or "loss" not in row:
        return failed_record(row["number"], genome, num_objectives)
    losses = [float(row[name]) for name in loss_columns(num_objectives)]
    return Record(losses[0], row["number"], genome, tuple(losses[1:]))


def _config(row: Row) -> dict[str, Any]:
    return {
        key.removeprefix(PARAMETER): value
        for key, value in row.items()
        if key.startswith(PARAMETER)
    }


def _count(tally: Tally, row: Row, record: Record) -> None:
    """Cancelled candidates are evaluated again: only what they have cost stays."""
    outcome = row["outcome"]
    tally.add(
        Tally(
            finished=int(outcome == "done"),
            failed=int(outcome == "failed"),
            stopped=int(outcome == "stopped"),
            reused=int(outcome == "reused"),
            busy_s=float(row.get("took_s", 0.0)),
            cost=float(row.get("cost", 0.0)),
            best_loss=record.loss,
            best_number=record.number,
        )
    )
