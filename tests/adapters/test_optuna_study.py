"""Studies are written for real, and opened again with Optuna."""

import sys
from datetime import datetime

import optuna
import pytest
from optuna.trial import TrialState

from hpctrain.adapters.optuna_study import write_study
from hpctrain.errors import HpctrainError

SPACE = {
    "rate": {"low": 1e-4, "high": 1.0, "log": True},
    "drop": {"low": 0.0, "high": 0.5, "step": 0.1},
    "width": {"low": 8, "high": 30, "step": 8},
    "layers": {"low": 1, "high": 64, "log": True},
    "kind": {"options": ["sgd", True, None, 3]},
    "momentum": {"low": 0.0, "high": 1.0, "when": {"kind": ["sgd"]}},
    "batch": {"value": 32},
}
PARAMETERS = {"rate": 0.1, "drop": 0.30000000000000004, "width": 24, "layers": 5, "batch": 32}


def candidate(number, outcome="done", losses=(1.0,), parameters=None, **other):
    return {
        "number": number, "outcome": outcome, "losses": list(losses),
        "parameters": {**PARAMETERS, "kind": None, **(parameters or {})},
        "reason": None, "made_by": "cma", "worker": 0, "island": 0, "began_s": 1.0, "ended_s": 3.0,
        "took_s": 2.0, "cost": None, "last_step": None, "last_value": None, "values": [],
    } | other  # fmt: skip


def document(*candidates, losses=("loss",), name="small"):
    return {
        "format": "hpctrain-search", "version": 1, "name": name, "losses": list(losses),
        "objective": "a:b", "propagator": "auto", "space": SPACE, "versions": {"hpctrain": "0.1.0"},
        "started": "2026-01-02T03:04:05+00:00", "candidates": list(candidates),
    }  # fmt: skip


def opened(path, name="small"):
    storage = f"sqlite:///{path}"
    if path.suffix != ".db":
        backend = optuna.storages.journal.JournalFileBackend(str(path))
        storage = optuna.storages.JournalStorage(backend)
    return optuna.load_study(study_name=name, storage=storage)


@pytest.mark.parametrize("file", ["study.journal", "study.db"])
def test_a_study_is_what_the_search_was(tmp_path, file):
    path = tmp_path / file
    assert write_study(
        document(
            candidate(0, losses=[2.0], parameters={"kind": "sgd", "momentum": 0.5}),
            candidate(1, losses=[1.0], parameters={"kind": True}),
            candidate(2, "failed", [None], reason="it broke"),
        ),
        path,
    ) == "small"  # fmt: skip
    study = opened(path)
    assert study.best_params == {
        "rate": 0.1, "drop": 0.30000000000000004, "width": 24, "layers": 5, "kind": True,
    }  # fmt: skip
    assert study.trials[0].params["momentum"] == 0.5
    assert [trial.state for trial in study.trials] == [
        TrialState.COMPLETE, TrialState.COMPLETE, TrialState.FAIL,
    ]  # fmt: skip
    assert study.trials[2].user_attrs["reason"] == "it broke"
    assert study.user_attrs["constants"] == {"batch": 32}


def test_distributions_are_those_of_the_space(tmp_path):
    path = tmp_path / "study.journal"
    write_study(document(candidate(0, parameters={"kind": "sgd", "momentum": 0.5})), path)
    kinds = optuna.distributions
    assert opened(path).trials[0].distributions == {
        "rate": kinds.FloatDistribution(1e-4, 1.0, log=True),
        "drop": kinds.FloatDistribution(0.0, 0.5, step=0.1),
        "width": kinds.IntDistribution(8, 24, step=8),  # 32 would be beyond 30
        "layers": kinds.IntDistribution(1, 64, log=True),
        "kind": kinds.CategoricalDistribution(("sgd", True, None, 3)),
        "momentum": kinds.FloatDistribution(0.0, 1.0),
    }


def test_candidates_that_were_stopped_are_pruned_with_their_values(tmp_path):
    path = tmp_path / "study.journal"
    stopped = candidate(0, "stopped", [None], values=[[1, 9.0], [3, None], [4, 7.0]],
                        last_step=4, last_value=7.0)  # fmt: skip
    write_study(document(stopped), path)
    (trial,) = opened(path).trials
    assert (trial.state, trial.value) == (TrialState.PRUNED, 7.0)
    assert trial.intermediate_values == {1: 9.0, 4: 7.0}


def test_what_was_known_already_counts_and_what_was_cut_short_does_not(tmp_path):
    path = tmp_path / "study.journal"
    write_study(document(
        candidate(0, "reused", [5.0]), candidate(1, "cancelled", [None]),
        candidate(2, "done", [None]), candidate(3, "reused", [None]),
    ), path)  # fmt: skip
    states = [trial.state.name for trial in opened(path).trials]
    assert states == ["COMPLETE", "FAIL", "FAIL", "FAIL"]


def test_several_losses_are_several_directions(tmp_path):
    path = tmp_path / "study.journal"
    both = [candidate(0, losses=[1.0, 2.0]), candidate(1, "stopped", [None] * 2, last_value=1.0)]
    write_study(document(*both, losses=["loss", "loss_1"]), path)
    study = opened(path)
    assert [direction.name for direction in study.directions] == ["MINIMIZE", "MINIMIZE"]
    assert study.best_trials[0].values == [1.0, 2.0]
    assert study.trials[1].state is TrialState.PRUNED


def test_trials_have_the_times_of_the_run(tmp_path):
    path = tmp_path / "study.journal"
    write_study(document(candidate(0), candidate(1, "reused", began_s=None, took_s=None)), path)
    first, second = opened(path).trials
    assert first.duration.total_seconds() == 2.0
    assert second.duration.total_seconds() == 0.0
    began = datetime.fromisoformat("2026-01-02T03:04:06+00:00")
    assert first.datetime_start.astimezone() == began


def test_two_searches_can_share_a_storage_but_not_a_name(tmp_path):
    path = tmp_path / "study.journal"
    write_study(document(candidate(0)), path)
    write_study(document(candidate(0, losses=[7.0]), name="other"), path)
    assert opened(path, "other").best_value == 7.0
    assert opened(path).best_value == 1.0
    with pytest.raises(HpctrainError, match="has a study 'small' already; choose another file"):
        write_study(document(candidate(0)), path)
    assert len(opened(path).trials) == 1


def test_optuna_can_go_on_from_it(tmp_path):
    path = tmp_path / "study.journal"
    write_study(document(*(candidate(n, losses=[n + 1.0]) for n in range(3))), path)
    study = opened(path)
    study.sampler = optuna.samplers.RandomSampler(seed=0)
    study.optimize(lambda trial: trial.suggest_float("rate", 1e-4, 1.0, log=True) - 5, n_trials=1)
    assert study.best_value < 0


def test_without_optuna_it_is_said_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(HpctrainError, match=r"pip install 'hpctrain\[optuna\]'"):
        write_study(document(), tmp_path / "study.journal")
