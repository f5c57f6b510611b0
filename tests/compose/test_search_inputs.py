"""What is wrong with a search is said in a line, with exit code 2, before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import hpctrain as ht
from hpctrain.searching.space import Space

LINE = {"x": (0.0, 1.0)}


def loss(candidate: Any) -> float:
    return float(candidate["x"])


@pytest.mark.parametrize(
    ("space", "settings", "words"),
    [
        (LINE, {}, "search.stop: nothing is sure to end this search; give evaluations, hours"),
        (LINE, {"stop": {"target": 0.1}}, "nothing is sure to end this search"),
        ({"x": (1, 9)}, {"duplicates": "average"}, "nothing is sure to end this search"),
        (LINE, {"stop": 10.0}, "search.stop: 10.0 is not allowed; give a table"),
        (LINE, {"stop": "10"}, 'search.stop: "10" is not allowed; give a table'),
        (LINE, {"stop": [10]}, "search.stop: [10] is not allowed; give a table"),
        (None, {"stop": 3}, "space is None, but must be a table of parameters by name"),
        ([("x", 1)], {"stop": 3}, "must be a table of parameters by name"),
        ({1: (0.0, 1.0)}, {"stop": 3}, "1 cannot be a name; give a text without '/'"),
        ({"x": (-1e308, 1e308)}, {"stop": 3}, "which is too far apart for a float"),
        ({"a/b": (0.0, 1.0)}, {"stop": 3}, "'a/b' cannot be a name"),
        (
            LINE,
            {"stop": 3, "propagator": "genetic", "options": {"population": "x"}},
            "search.options.population: 'x' is not allowed for the propagator genetic; give an "
            "integer of at least 1 (default: 20)",
        ),
        (
            LINE,
            {"stop": 3, "propagator": "genetic", "options": {"sigma": -1}},
            "search.options.sigma: -1 is not allowed for the propagator genetic; give a number of "
            "at least 0",
        ),
        (
            LINE,
            {"stop": 3, "migration": {"pattern": [[0, 1], [1, 0]]}},
            "migration.pattern: the matrix is 2 x 2, but there are 1 islands",
        ),
    ],
)
def test_one_line_says_what_is_wrong(
    space: Any,
    settings: dict[str, Any],
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert words in refused(loss, space, tmp_path, capsys, **settings)


def test_an_objective_that_cannot_be_called_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused("my_module:loss", LINE, tmp_path, capsys, stop=3)
    assert "objective: 'my_module:loss' is not allowed; give a function" in line


def test_a_constraint_that_fails_is_refused_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = Space(LINE, lambda config: config["width"] > 3)
    line = refused(loss, space, tmp_path, capsys, stop=3)
    assert "space: the constraint fails with KeyError: 'width', for {'x': " in line


def test_a_finite_space_ends_a_search_by_itself_though_a_constraint_forbids_some_of_it(
    tmp_path: Path,
) -> None:
    space = Space(
        {"x": (1, 6), "o": ["a", "b"], "z": {"low": 1, "high": 3, "when": {"o": "a"}}},
        lambda config: config["x"] % 2 == 0,
    )
    result = ht.search(loss, space, run_dir=str(tmp_path / "run"), progress="none")
    assert result.evaluations == 3 * (3 + 1)
    assert result.reason == "every configuration has been evaluated"


def refused(
    objective: Any,
    space: Any,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    **settings: Any,
) -> str:
    with pytest.raises(SystemExit) as ended:
        ht.search(objective, space, run_dir=str(folder / "run"), **settings)
    assert ended.value.code == 2
    assert not (folder / "run").exists()
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said
