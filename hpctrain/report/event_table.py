"""What happened to a run besides its beginning and end: warnings, checkpoints, refused pushes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from hpctrain.report.records import Records
from hpctrain.report.tables import num_rows
from hpctrain.report.words import plural, seconds_text

LAST_EVENTS = 10
LONGEST_TEXT = 300
QUIET = ("start", "resume", "meter", "finish")  # said elsewhere, or by every rank


@dataclass(frozen=True, slots=True)
class Happening:
    """The same event on one rank or several."""

    time_s: float
    kind: str
    text: str
    ranks: int


def happenings(records: Records) -> list[Happening]:
    """Events of all ranks in the order of time, those that ranks share as one."""
    events = records.events
    seen: dict[tuple[str, str], list[int]] = {}
    for row in range(num_rows(events)):
        if events["kind"][row] not in QUIET:
            seen.setdefault((events["kind"][row], events["text"][row]), []).append(row)
    found = [
        Happening(float(events["time_s"][rows].min()), *said, len(set(events["rank"][rows])))
        for said, rows in seen.items()
    ]
    return sorted(found, key=lambda item: item.time_s)


def event_lines(records: Records) -> Iterator[str]:
    """One line per event, the last ones only."""
    found = happenings(records)
    if len(found) > LAST_EVENTS:
        yield f"({len(found) - LAST_EVENTS} earlier ones are in the run store)"
    for item in found[-LAST_EVENTS:]:
        where = f" ({item.ranks} ranks)" if item.ranks > 1 else ""
        text = " ".join(item.text.split())[-LONGEST_TEXT:]
        yield f"{seconds_text(item.time_s)}  {item.kind}{where}: {text}"


def refusal_lines(records: Records) -> Iterator[str]:
    """How many pushes were refused, for each reason."""
    updates = records.updates
    refused = updates["refused"] == 1
    for reason, count in sorted(Counter(updates["reason"][refused]).items()):
        yield f"{plural(count, 'push').replace('pushs', 'pushes')} refused: {reason}"


def num_resumes(records: Records) -> int:
    """How often the run was resumed: ranks do it together."""
    events = records.events
    resumes = events["rank"][events["kind"] == "resume"]
    return max(Counter(resumes.tolist()).values(), default=0)
