"""What Slurm's accounting says of jobs: rows of sacct, from an export or as it answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hpctrain.errors import MeteringError

COLUMNS = (
    "JobID", "User", "Account", "Partition", "Elapsed", "NNodes", "ConsumedEnergyRaw", "State"
)  # fmt: skip
HOW = f"sacct -P -D -X -o {','.join(COLUMNS)}"
NO_VALUES = (2**32 - 2, 2**32 - 1)  # Slurm's own "no value" and "unlimited" in 32 bits
NO_VALUE_64 = 2**63  # and beyond it those in 64
ELAPSED = re.compile(r"(?:(\d+)-)?(\d+):(\d\d):(\d\d)")
NO_TIME = ("", "INVALID", "Unknown")


@dataclass(frozen=True, slots=True)
class Allocation:
    """One allocation of a job; it has several if it was put back into the queue.

    Attributes:
        elapsed_s: None if not known.
        joules: of its nodes, all in all; None if Slurm did not measure them.
    """

    job: str
    user: str
    account: str
    partition: str
    elapsed_s: float | None
    num_nodes: int | None
    joules: int | None
    state: str


def parse_export(text: str, path: Path) -> list[Allocation]:
    """The allocations in an export of sacct.

    Raises:
        MeteringError: if a column is missing or a value is not what it should be; with the place.
    """
    lines = text.lstrip("\ufeff").splitlines()
    if not lines:
        raise MeteringError(f"{path}: is empty; make it by {HOW}")
    names = lines[0].split("|")
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise MeteringError(
            f"{path}, line 1: no column {', '.join(missing)}, but {', '.join(names)}; make it by "
            f"{HOW}"
        )
    found = []
    for place, line in enumerate(lines[1:], 2):
        fields = line.split("|")
        if len(fields) != len(names):
            raise MeteringError(
                f"{path}, line {place}: {len(fields)} columns, but its header has {len(names)}"
            )
        row = dict(zip(names, fields, strict=True))
        found.append(_allocation(row, partial(_place, path, place, names)))
    return found


def parse_rows(rows: Sequence[Mapping[str, str]]) -> list[Allocation]:
    """The allocations in rows that sacct itself gave.

    Raises:
        MeteringError: if a value is not what it should be.
    """
    return [_allocation(row, partial(_answer_place, n)) for n, row in enumerate(rows, 1)]


def by_job(allocations: Iterable[Allocation]) -> dict[str, list[Allocation]]:
    """By the number of the job, such as `12`, or `12_3` of an array."""
    found: dict[str, list[Allocation]] = {}
    for one in allocations:
        found.setdefault(one.job, []).append(one)
    return found


def _place(path: Path, line: int, names: Sequence[str], name: str) -> str:
    return f"{path}, line {line}, column {names.index(name) + 1} ({name})"


def _answer_place(row: int, name: str) -> str:
    return f"sacct, row {row}, column {name}"


def _allocation(row: Mapping[str, str], where: Callable[[str], str]) -> Allocation:
    job = row.get("JobID", "").partition("+")[0]  # 12+0, 12+1: parts of a heterogeneous job
    if not job:
        raise MeteringError(f"{where('JobID')}: is empty")
    joules = _whole(row, "ConsumedEnergyRaw", "joules", where)
    if joules is not None and (joules in (0, *NO_VALUES) or joules >= NO_VALUE_64):
        joules = None
    return Allocation(
        job, row.get("User", ""), row.get("Account", ""), row.get("Partition", ""),
        _seconds(row, where), _whole(row, "NNodes", "nodes", where), joules, row.get("State", ""),
    )  # fmt: skip


def _whole(row: Mapping[str, str], name: str, what: str, where: Callable[[str], str]) -> int | None:
    text = row.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        raise MeteringError(f"{where(name)}: {text!r} is no whole number of {what}")
    return int(text)


def _seconds(row: Mapping[str, str], where: Callable[[str], str]) -> float | None:
    text = row.get("Elapsed", "")
    if text in NO_TIME:
        return None
    match = ELAPSED.fullmatch(text)
    if match is None:
        raise MeteringError(f"{where('Elapsed')}: {text!r} is no time such as 1-02:30:00")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return ((days * 24.0 + hours) * 60 + minutes) * 60 + seconds
