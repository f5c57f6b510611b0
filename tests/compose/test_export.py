"""The command, from a run directory to a file."""

import json
import sys

import optuna
import pytest
from click.testing import CliRunner

from hpctrain.cli import main
from hpctrain.compose.export import document_of, to_pandas
from hpctrain.errors import HpctrainError
from hpctrain.storage.read import open_run
from hpctrain.storage.store import RunStore

SEARCH = {
    "space": {"x": {"low": 0.0, "high": 1.0}}, "num_objectives": 1, "objective": "a:b",
    "propagator": "auto",
}  # fmt: skip


@pytest.fixture
def run_dir(tmp_path):
    """A search of three candidates."""
    return written(tmp_path / "searched", search=SEARCH)


def written(run_dir, **more):
    identity = {"run_id": "1", "start_time_utc": "2026-01-02T03:04:05+00:00", "seed": 7, **more}
    with RunStore.open_for_writing(run_dir, 0, {"worker": 0}, False, identity=identity) as store:
        for number in range(3 if more else 0):
            x = number / 4
            store.note("candidate", {
                "time_s": number + 1.0, "worker": 0, "island": 0, "number": number,
                "outcome": "done", "loss": 1 - x, "param.x": x,
                "took_s": 0.5, "began_s": number + 0.5,
            })  # fmt: skip
    return run_dir


def exported(*args):
    return CliRunner().invoke(main, ["export", *map(str, args)])


def test_csv_and_json_are_written(run_dir, tmp_path):
    answer = exported(run_dir, "--to", "csv", tmp_path / "a.csv")
    assert (answer.exit_code, answer.output) == (0, f"3 candidates are in {tmp_path / 'a.csv'}\n")
    assert (tmp_path / "a.csv").read_text().splitlines()[1].startswith("0,done,1.0,0.0,")
    assert exported(run_dir, "--to", "json", tmp_path / "a.json").exit_code == 0
    found = json.loads((tmp_path / "a.json").read_text())
    assert [c["losses"] for c in found["candidates"]] == [[1.0], [0.75], [0.5]]


def test_an_optuna_study_is_written(run_dir, tmp_path):
    path = tmp_path / "study.journal"
    answer = exported(run_dir, "--to", "optuna", path)
    assert answer.output == f"3 candidates are the study 'searched' in {path}\n"
    backend = optuna.storages.journal.JournalFileBackend(str(path))
    storage = optuna.storages.JournalStorage(backend)
    assert optuna.load_study(study_name="searched", storage=storage).best_value == 0.5


def test_a_training_is_refused(tmp_path):
    answer = exported(written(tmp_path / "trained"), "--to", "csv", tmp_path / "a.csv")
    assert answer.exit_code == 2
    assert "holds a training; only searches can be exported" in answer.output
    assert not (tmp_path / "a.csv").exists()


def test_a_file_that_cannot_be_written_is_named(run_dir, tmp_path):
    answer = exported(run_dir, "--to", "csv", tmp_path / "no" / "a.csv")
    assert answer.exit_code == 2
    assert answer.output.startswith(f"cannot write {tmp_path / 'no' / 'a.csv'}: ")


def test_a_directory_or_an_open_run_give_the_same(run_dir, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    for run in (run_dir, str(run_dir), open_run(run_dir)):
        with pytest.raises(HpctrainError, match="a table needs pandas"):
            to_pandas(run)
    assert document_of(open_run(run_dir))["elapsed_s"] == 3.0
