"""Which `--mpi=` srun needs, beside what a stand-in for srun says it offers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hpctrain.cluster.check import Check
from hpctrain.cluster.srun import mpi_flag, parse_offered, srun_check

SLURM_22 = """MPI plugin types are...
\tnone
\tpmi2
\tpmix
specific pmix plugin versions available: pmix_v4,pmix_v5
"""
SLURM_18 = """srun: MPI types are...
srun: pmi2
srun: openmpi
srun: none
"""
OPENMPI = {"vendor": "Open MPI", "library": "Open MPI v5.0.11, package: x"}
MPICH = {"vendor": "MPICH", "library": "MPICH Version: 5.0.2"}
INTEL = {"vendor": "Intel MPI", "library": "Intel(R) MPI Library 2021.18 for Linux* OS"}


def says(folder: Path, text: str, more: str = "") -> dict[str, str]:
    """An environment in which srun is a program that prints `text`."""
    (folder / "text").write_text(text)
    srun = folder / "srun"
    srun.write_text(f'#!/bin/sh\n[ "$1" = --mpi=list ] && /bin/cat "{folder}/text"\n{more}\n')
    srun.chmod(0o755)
    return {"PATH": str(folder)}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (SLURM_22, ("none", "pmi2", "pmix", "pmix_v4", "pmix_v5")),
        (SLURM_18, ("pmi2", "openmpi", "none")),
        ("srun: fatal: Could not establish a configuration source", ()),
        ("", ()),
    ],
)
def test_what_is_offered_is_read_from_old_and_new_versions(
    text: str, names: tuple[str, ...]
) -> None:
    assert parse_offered(text) == names


@pytest.mark.parametrize(
    ("library", "flag"),
    [
        ("Open MPI v4.1.4, package: Debian OpenMPI", "pmix"),
        ("MPICH Version: 5.0.2", "pmi2"),
        ("Intel(R) MPI Library 2021.18 for Linux* OS", "pmi2"),
        ("MPI VERSION    : CRAY MPICH version 8.1.29.6", "cray_shasta"),
        ("something else", "pmix"),
    ],
)
def test_every_library_needs_its_flag(library: str, flag: str) -> None:
    assert mpi_flag(library) == flag


@pytest.mark.parametrize("facts", [OPENMPI, MPICH])
def test_a_flag_that_is_offered_is_named(tmp_path: Path, facts: dict[str, Any]) -> None:
    flag = mpi_flag(facts["vendor"])
    found = srun_check(facts, says(tmp_path, SLURM_22))
    names = "none, pmi2, pmix, pmix_v4, pmix_v5"
    assert found == Check("srun", "ok", f"needs --mpi={flag}; offered here: {names}")


def test_a_flag_that_is_not_offered_is_a_problem_with_a_way_out(tmp_path: Path) -> None:
    found = srun_check(OPENMPI, says(tmp_path, SLURM_18))
    assert found is not None
    assert found.status == "problem"
    assert found.found == "needs --mpi=pmix; offered here: pmi2, openmpi, none"
    assert found.hint.startswith("start the ranks with that library's mpirun inside of the job")


def test_intel_mpi_must_also_be_told_where_the_library_of_slurm_is(tmp_path: Path) -> None:
    env = says(tmp_path, SLURM_22)
    found = srun_check(INTEL, env)
    assert found is not None
    assert (found.status, "I_MPI_PMI_LIBRARY" in found.hint) == ("note", True)
    told = srun_check(INTEL, env | {"I_MPI_PMI_LIBRARY": "/usr/lib/libpmi2.so"})
    assert told is not None
    assert told.status == "ok"


def test_an_srun_without_a_cluster_is_only_a_note(tmp_path: Path) -> None:
    found = srun_check(MPICH, says(tmp_path, "", "echo 'srun: fatal: no cluster' >&2; exit 1"))
    assert found is not None
    assert found.status == "note"
    assert found.found.endswith("not known: --mpi=list says: srun: fatal: no cluster")


def test_without_srun_or_mpi_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert srun_check(MPICH, {"PATH": str(tmp_path)}) is None
    assert srun_check({"error": "no mpi4py", "detail": ""}, says(tmp_path, SLURM_22)) is None


PMIX = {"PMIX_RANK": "0", "PMIX_NAMESPACE": "slurm.pmix.35.0", "SLURM_MPI_TYPE": "pmix"}
PMI2 = {"PMI_RANK": "0", "PMI_FD": "10", "SLURM_MPI_TYPE": "pmi2"}
STEP = {"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "4", "SLURM_STEP_ID": "0"}


@pytest.mark.parametrize(
    ("facts", "left"), [(OPENMPI, PMIX), (MPICH, PMI2), (MPICH, PMIX), (INTEL, PMI2)]
)
def test_ranks_that_srun_has_started_in_the_right_way_are_fine(
    tmp_path: Path, facts: dict[str, Any], left: dict[str, str]
) -> None:
    found = srun_check(facts, says(tmp_path, SLURM_22) | STEP | left)
    assert found is not None
    assert found.status != "problem"


@pytest.mark.parametrize(
    ("facts", "left", "told"),
    [(OPENMPI, {}, "none"), (OPENMPI, PMI2, "pmi2"), (MPICH, {}, "none")],
)
def test_ranks_that_srun_has_started_in_another_way_do_not_find_each_other(
    tmp_path: Path, facts: dict[str, Any], left: dict[str, str], told: str
) -> None:
    env, flag = says(tmp_path, SLURM_22) | STEP | left, mpi_flag(facts["vendor"])
    found = f"needs --mpi={flag}; these 4 ranks were started with --mpi={told}"
    hint = f"start them with: srun --mpi={flag}"
    assert srun_check(facts, env) == Check("srun", "problem", found, hint)
    alone = srun_check(facts, env | {"SLURM_STEP_NUM_TASKS": "1"})
    assert alone is not None
    assert alone.status == "ok"
