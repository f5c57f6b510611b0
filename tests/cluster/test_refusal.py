"""Wrong settings end a job of several ranks with one who says why."""

from __future__ import annotations

import sys

import pytest

from hpctrain.cluster import refusal
from hpctrain.cluster.refusal import refuse
from hpctrain.errors import ConfigError, LaunchError


def ended(
    monkeypatch: pytest.MonkeyPatch, error: Exception, rank: int, local: int, mpi: bool = False
) -> list[float]:
    """End as `rank`; the naps that were taken."""
    naps: list[float] = []
    env = {"OMPI_COMM_WORLD_RANK": rank, "OMPI_COMM_WORLD_SIZE": 4}
    for name, value in (env | {"OMPI_COMM_WORLD_LOCAL_RANK": local}).items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("SLURMD_NODENAME", "n2")
    monkeypatch.setattr(refusal.time, "sleep", naps.append)
    modules = dict(sys.modules) | ({"mpi4py.MPI": sys} if mpi else {})
    if not mpi:
        modules.pop("mpi4py.MPI", None)
    monkeypatch.setattr(refusal.sys, "modules", modules)
    with pytest.raises(SystemExit) as end:
        refuse(error)
    assert end.value.code == 2
    return naps


def test_the_first_rank_speaks_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(monkeypatch, ConfigError("no such file"), 0, 0) == []
    assert capsys.readouterr().err == "no such file\n"


def test_others_let_it_speak_first_and_one_of_each_host_speaks_after_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(monkeypatch, ConfigError("no such file"), 1, 1) == [refusal.PATIENCE_S]
    assert capsys.readouterr().err == ""
    assert ended(monkeypatch, ConfigError("no such file"), 2, 0) == [refusal.PATIENCE_S]
    assert capsys.readouterr().err == "[rank 2 on n2] no such file\n"


def test_ranks_that_mpi_has_joined_need_not_wait(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(monkeypatch, ConfigError("wrong"), 2, 0, mpi=True) == []
    assert capsys.readouterr().err == ""
    assert ended(monkeypatch, LaunchError("alone"), 1, 1, mpi=True) == [refusal.PATIENCE_S]
