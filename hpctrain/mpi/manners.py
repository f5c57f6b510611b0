"""What has to be settled before MPI starts. Importing this module does not start it."""

from __future__ import annotations

from collections.abc import MutableMapping

YIELD = "OMPI_MCA_mpi_yield_when_idle"


def yield_if_crowded(env: MutableMapping[str, str], ranks_here: int | None, cores: int) -> None:
    """Have the ranks of Open MPI give their core away while they wait, if there are too few.

    Its own mpirun sees to that where it is told of more ranks than cores; srun does not, and then
    each rank that waits takes the core from one that computes, a time slice at a time. What the
    user has set stays.

    Args:
        env: the environment of this process; MPI reads it when it starts.
        ranks_here: ranks on this host, if known.
        cores: of this host.
    """
    if ranks_here is not None and ranks_here > cores:
        env.setdefault(YIELD, "1")
