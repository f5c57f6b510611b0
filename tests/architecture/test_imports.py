"""What may import what, how large files may get, and how modules are not called."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "hpctrain").rglob("*.py"))
MOST_LINES = 400
SUBJECTLESS = {"utils", "util", "common", "helpers", "helper", "base", "manager", "misc"}
HEAVY = {"numpy", "torch", "mpi4py", "pydantic", "h5py", "msgpack", "rich", "matplotlib"}


def modules_after(code: str) -> set[str]:
    """The top-level modules that a new interpreter has loaded after running `code`."""
    program = f"import sys\n{code}\nprint(*sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return {name.partition(".")[0] for name in answer.stdout.split()}


def test_the_import_contracts_are_kept() -> None:
    program = (
        "import sys; from importlinter.cli import lint_imports_command; lint_imports_command()"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program, "--no-cache"], capture_output=True, text=True, cwd=ROOT
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "0 broken" in answer.stdout


def test_importing_hpctrain_loads_nothing_heavy() -> None:
    assert modules_after("import hpctrain") & HEAVY == set()


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("hpctrain.core.algorithm", set()),
        ("hpctrain.core.topology", set()),
        ("hpctrain.training.algorithm", {"numpy"}),
        ("hpctrain.runtime.simulator", {"numpy", "msgpack"}),
        ("hpctrain.runtime.rehearsal", {"numpy", "msgpack"}),
        ("hpctrain.workers.virtual", {"numpy", "msgpack"}),
    ],
)
def test_the_pure_parts_load_only_what_they_compute_with(module: str, allowed: set[str]) -> None:
    assert modules_after(f"import {module}") & HEAVY <= allowed


def test_no_file_is_too_long_to_read() -> None:
    num_lines = {path: len(path.read_text().splitlines()) for path in SOURCES}
    too_long = {str(path): num for path, num in num_lines.items() if num > MOST_LINES}
    assert too_long == {}, "which of its subjects is a file of its own?"


def test_every_module_is_named_after_a_subject() -> None:
    found = {path.stem for path in SOURCES} | {path.parent.name for path in SOURCES}
    assert found & SUBJECTLESS == set()


def test_every_file_says_its_subject_in_the_first_line() -> None:
    first_lines = {str(path): path.read_text().partition("\n")[0] for path in SOURCES}
    silent = [path for path, line in first_lines.items() if not line.startswith('"""')]
    assert silent == []
