"""Numbers as people read them: short, with a unit, in few characters."""

from __future__ import annotations

from math import isfinite

COUNT_UNITS = ("", " k", " M", " G", " T", " P")
BYTE_UNITS = (" B", " kB", " MB", " GB", " TB", " PB")
PLAIN_COUNT = 1_000_000  # shorter numbers are written in full


def bytes_text(count: float) -> str:
    """`count` bytes as an engineer writes them: 1.23 MB."""
    return _scaled(count, BYTE_UNITS)


def count_text(count: float) -> str:
    """In full up to a million, then as 1.23 M."""
    return f"{count:,.0f}" if abs(count) < PLAIN_COUNT else _scaled(count, COUNT_UNITS)


def seconds_text(seconds: float) -> str:
    """26.1 s, 4 min 05 s, 3 h 12 min or 2 d 07 h."""
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    minutes, seconds_left = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    days, hours_left = divmod(hours, 24)
    if days:
        return f"{days} d {hours_left:02d} h"
    if hours:
        return f"{hours} h {minutes_left:02d} min"
    return f"{minutes} min {seconds_left:02d} s"


def share_text(part: float, whole: float) -> str:
    """`part` of `whole` in percent; nothing if there is no whole."""
    return f"{part / whole:.1%}" if whole else ""


def rate_text(count: float, seconds: float) -> str:
    return f"{count / seconds:.1f}" if seconds else ""


def mean_text(mean: float, digits: int) -> str:
    """With so many digits after the point; nothing if it is not known."""
    return f"{mean:.{digits}f}" if isfinite(mean) else ""


def plural(count: int, thing: str) -> str:
    """1 island, 4 islands."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def pace_text(pace: float) -> str:
    """How an emulated pace is said: nothing for full speed."""
    return "" if pace == 1 else f"{pace:g}x slower"


def _scaled(count: float, units: tuple[str, ...]) -> str:
    """Three significant digits and the unit that leaves one to three before the point."""
    for unit in units:
        if abs(count) < 999.5 or unit == units[-1]:
            digits = f"{count:.0f}" if unit == units[0] or abs(count) >= 99.95 else f"{count:.3g}"
            return f"{digits}{unit}"
        count /= 1000
    raise AssertionError("unreachable")
