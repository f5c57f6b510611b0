"""Which `--mpi=` of srun an MPI library needs, and whether this Slurm offers it."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any

from hpctrain.cluster.check import Check
from hpctrain.cluster.launcher import read_launcher
from hpctrain.cluster.mpirun import Family, family_of

_TIMEOUT_S = 20.0  # srun answers by itself, unless it waits for its configuration
_NEEDS: Mapping[Family, str] = {
    "openmpi": "pmix", "mpich": "pmi2", "intel": "pmi2", "other": "pmix"
}  # fmt: skip
_OTHER_WAY = "start the ranks with that library's mpirun inside of the job"


def mpi_flag(library: str) -> str:
    """What `srun --mpi=` is told for an MPI library, by its vendor or what it says of itself."""
    return "cray_shasta" if "cray mpich" in library.lower() else _NEEDS[family_of(library)]


def srun_check(facts: Mapping[str, Any], env: Mapping[str, str]) -> Check | None:
    """Whether srun can start ranks of the MPI library; None where there is no srun, or no library.

    Args:
        facts: of `query_mpi`.
        env: where to look for srun, and at what it was told if it has started this process.
    """
    srun = shutil.which("srun", path=env.get("PATH", ""))
    if srun is None or "error" in facts:
        return None
    flag = mpi_flag(f"{facts['vendor']} {facts.get('library', '')}")
    needs = f"needs --mpi={flag}"
    launcher = read_launcher(env)
    if launcher.name == "slurm" and (launcher.size or 1) > 1 and not _can_meet(flag, env):
        told = env.get("SLURM_MPI_TYPE", "none")  # which Slurm 22 does not set
        found = f"{needs}; these {launcher.size} ranks were started with --mpi={told}"
        return Check("srun", "problem", found, f"start them with: srun --mpi={flag}")
    offered = parse_offered(said := _ask(srun, env))
    if not offered:
        said = said.strip().splitlines()[-1] if said.strip() else "nothing"
        return Check(
            "srun", "note", f"{needs}; what is offered is not known: --mpi=list says: {said}"
        )
    found = f"{needs}; offered here: {', '.join(offered)}"
    if flag not in offered:
        hint = f"{_OTHER_WAY}, or load an MPI that one of them starts"
        return Check("srun", "problem", found, hint)
    if family_of(facts["vendor"]) == "intel" and "I_MPI_PMI_LIBRARY" not in env:
        return Check("srun", "note", found, "export I_MPI_PMI_LIBRARY= the path of libpmi2.so")
    return Check("srun", "ok", found)


def _can_meet(flag: str, env: Mapping[str, str]) -> bool:
    """Whether srun has left what ranks need to find each other.

    Open MPI wants PMIx; others want any of PMI, and some are built for PMIx as well.
    """
    return "PMIX_RANK" in env or (flag != "pmix" and any(key.startswith("PMI_") for key in env))


def parse_offered(text: str) -> tuple[str, ...]:
    """The names that `srun --mpi=list` prints, of Slurm 18 to 25, in order.

    It prints a heading, a name in each line, and perhaps `...versions available: pmix_v4,pmix_v5`.
    Until Slurm 20 every line begins with `srun: `.
    """
    lines = [line.strip().removeprefix("srun: ").strip() for line in text.splitlines()]
    names = [line for line in lines if re.fullmatch(r"[a-z]\w*", line)]
    for line in lines:
        _, is_list, versions = line.partition("versions available: ")
        names += versions.split(",") if is_list else []
    return tuple(dict.fromkeys(names))


def _ask(srun: str, env: Mapping[str, str]) -> str:
    """What it says on either stream: old ones use stderr."""
    try:
        answer = subprocess.run(
            [srun, "--mpi=list"], env=dict(env), capture_output=True, text=True,
            timeout=_TIMEOUT_S, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"nothing within {_TIMEOUT_S:.0f} s"
    except OSError as error:
        return str(error)
    return answer.stdout + answer.stderr
