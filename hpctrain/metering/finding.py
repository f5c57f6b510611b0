"""What looking for a source found: the source, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass, field

from hpctrain.metering.reading import Source


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one look.

    Attributes:
        name: of the kind of source, such as "rapl".
        source: what was found; None if nothing can be read.
        notes: sentences on what was left out and why, and the way out where there is one.
    """

    name: str
    source: Source | None = None
    notes: tuple[str, ...] = field(default=())
