"""Sensors that fall silent in the middle of a run."""

from hpctrain.metering.silence import Silence
from tests.metering.hosts import S


def told(rate_hz: float, silent_from_s: int, silent_to_s: int) -> list[tuple[int, str]]:
    """What is said in a minute, and when."""
    silence, covered_ns, said = Silence(rate_hz, 0), 0, []
    for now_s in range(60):
        if not silent_from_s <= now_s < silent_to_s:
            covered_ns += S
        text = silence.look(now_s * S, covered_ns)
        said += [(now_s, text)] if text else []
    return said


def test_a_short_silence_is_nothing_to_speak_of() -> None:
    assert told(1.0, 20, 29) == []


def test_a_long_silence_is_told_once_and_its_end_too() -> None:
    (first_s, first), (then_s, then) = told(1.0, 20, 50)
    assert (first_s, then_s) == (29, 50)
    assert first.startswith("no readings for 10 s")
    assert then == "readings again, after 31 s"


def test_whoever_looks_seldom_is_patient() -> None:
    assert [when_s for when_s, _ in told(0.2, 20, 60)] == [44]


def test_sensors_that_never_told_anything_are_told_of() -> None:
    assert [when_s for when_s, _ in told(1.0, 0, 60)] == [10]
