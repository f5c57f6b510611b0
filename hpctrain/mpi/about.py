"""What the MPI library says about itself; run as a program, so that a broken one harms nobody.

`python -m hpctrain.mpi.about` prints JSON; with `--start` it also starts MPI, alone in its world.
"""

import ctypes
import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any


def about(start: bool) -> dict[str, Any]:
    """Facts about the MPI library that mpi4py loads, and if `start`, about MPI as it runs.

    Returns:
        With `start` also the thread level, the size of the world, and whether the library says
        that it can send from CUDA memory (None: it does not say).

    Raises:
        ImportError: without mpi4py.
        RuntimeError: if mpi4py finds no MPI library.
    """
    import mpi4py

    mpi4py.rc.initialize = start
    from mpi4py import MPI

    vendor, numbers = MPI.get_vendor()
    library = _loaded_library()
    facts: dict[str, Any] = {
        "mpi4py": version("mpi4py"),
        "vendor": vendor,
        "version": ".".join(map(str, numbers)),
        "library": MPI.Get_library_version().strip("\0 \n").splitlines()[0],
        "standard": ".".join(map(str, MPI.Get_version())),
        "abi": Path(MPI.__file__).name.split(".")[1],
        "path": library,
    }
    if start:
        facts["thread_level"] = _thread_level(MPI)
        facts["size"] = MPI.COMM_WORLD.size
        facts["cuda_aware"] = _cuda_aware(library)
    return facts


def _thread_level(MPI: Any) -> str:  # noqa: N803 - the name that mpi4py gives its module
    names = ("SINGLE", "FUNNELED", "SERIALIZED", "MULTIPLE")
    return next(name for name in names if getattr(MPI, f"THREAD_{name}") == MPI.Query_thread())


def _loaded_library() -> str | None:
    """The path of libmpi in this process, where the system tells (Linux)."""
    maps = Path("/proc/self/maps")
    if not maps.exists():
        return None
    paths = [line.split(maxsplit=5)[-1] for line in maps.read_text().splitlines()]
    return next(
        (path for path in paths if Path(path).name.startswith(("libmpi.", "libmpich."))), None
    )


def _cuda_aware(library: str | None) -> bool | None:
    """Open MPI and MPICH answer through an extension of the standard."""
    if library is None:
        return None
    query = getattr(ctypes.CDLL(library), "MPIX_Query_cuda_support", None)
    return bool(query()) if query else None


def main() -> None:
    """Prints the facts, or what went wrong under the key `error`."""
    try:
        facts = about("--start" in sys.argv[1:])
    except (ImportError, RuntimeError) as error:
        kind = "no mpi4py" if isinstance(error, ModuleNotFoundError) else "no library"
        facts = {"error": kind, "detail": str(error).splitlines()[0]}
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
