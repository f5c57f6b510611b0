import pytest

from hpctrain.report.words import bytes_text, count_text, pace_text, plural, seconds_text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (1_234_567, "1.23 MB"), (99_950_000, "100 MB"),
     (999_600, "1 MB"), (3.5e16, "35 PB")],
)  # fmt: skip
def test_bytes_have_three_digits_and_a_unit(count, text):
    assert bytes_text(count) == text


@pytest.mark.parametrize(
    ("count", "text"), [(12, "12"), (643_584, "643,584"), (1_500_000, "1.5 M"), (2e12, "2 T")]
)
def test_counts_are_written_in_full_up_to_a_million(count, text):
    assert count_text(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (76.46, "76.5 s"), (99.96, "1 min 40 s"), (3599.7, "1 h 00 min"),
     (11_530, "3 h 12 min"), (200_000, "2 d 07 h")],
)  # fmt: skip
def test_seconds_are_written_as_long_times_where_they_are(seconds, text):
    assert seconds_text(seconds) == text


def test_things_are_counted_in_words():
    assert plural(1, "island") == "1 island"
    assert plural(1200, "round") == "1,200 rounds"


def test_a_pace_is_said_only_where_it_is_emulated():
    assert (pace_text(1.0), pace_text(2.5)) == ("", "2.5x slower")
