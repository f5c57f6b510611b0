"""Finding the callable that makes a task."""

import sys
from pathlib import Path

import pytest

from hpctrain.errors import ConfigError
from hpctrain.workloads import bytelm
from hpctrain.workloads.factory import resolve_factory


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory that is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return tmp_path


def test_the_built_in_task_is_found() -> None:
    assert resolve_factory("hpctrain.workloads.bytelm:task") is bytelm.task


def test_a_module_of_the_working_directory_is_found(here: Path) -> None:
    (here / "cats_and_dogs.py").write_text(
        "class Make:\n    @staticmethod\n    def it(c): return 7"
    )
    assert resolve_factory("cats_and_dogs:Make.it")(None) == 7  # type: ignore[arg-type]


def test_the_working_directory_does_not_hide_modules_of_python(here: Path) -> None:
    (here / "colorsys.py").write_text("raise SystemExit")
    assert callable(resolve_factory("colorsys:rgb_to_hsv"))


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("no_such_package.tasks:make", "there is no module 'no_such_package' in /"),
        ("hpctrain.no_such:make", "there is no module 'hpctrain.no_such' in /"),
        (
            "hpctrain.workloads.bytelm:tusk",
            "module hpctrain.workloads.bytelm has no 'tusk'; did you mean task?",
        ),
        ("hpctrain.workloads.text:HELD_OUT_SHARE", "is of type float, but must be a callable"),
        ("hpctrain", "is not of the form package.module:callable"),
    ],
)
def test_a_callable_that_is_not_there_is_one_line(here: Path, reference: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_factory(reference, "a.toml")
    assert str(caught.value).startswith(f'a.toml: task.factory: "{reference}": {words}')
    assert "\n" not in str(caught.value)


def test_an_error_of_the_users_module_is_not_rewritten(here: Path) -> None:
    (here / "needs_more.py").write_text("import not_installed_anywhere")
    with pytest.raises(ModuleNotFoundError, match="not_installed_anywhere"):
        resolve_factory("needs_more:make")
