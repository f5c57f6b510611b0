"""What a check of `hpctrain doctor` finds."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "note", "problem"]


@dataclass(frozen=True, slots=True)
class Check:
    """One finding about this machine.

    Attributes:
        status: "problem" if runs will fail or be wrong, "note" if something is only missing.
        found: what there is, for people.
        hint: the way out, empty if none is needed.
        details: what is too long for a line.
    """

    name: str
    status: Status
    found: str
    hint: str = ""
    details: tuple[str, ...] = ()
