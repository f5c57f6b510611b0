"""How much of a run is done."""

import pytest

from hpctrain.compose.progress import progress_of
from hpctrain.config import config_from_keywords


@pytest.mark.parametrize(
    ("stop", "steps", "now_s", "done"),
    [
        ({"steps": 100}, 25, 1e9, 0.25),
        ({"steps": 100}, 130, 0.0, 1.0),
        ({"minutes": 2.0}, 1000, 30.0, 0.25),
        ({"minutes": 2.0}, 0, 500.0, 1.0),
        ({"steps": 100, "minutes": 1.0}, 50, 59.0, 0.5),
        ({}, 50, 59.0, 0.0),
    ],
)
def test_progress_is_of_the_budget(
    stop: dict[str, float], steps: int, now_s: float, done: float
) -> None:
    assert progress_of(config_from_keywords(stop=stop), steps, now_s) == done
