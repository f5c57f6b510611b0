"""Checks of the machine: GPUs, disk, and shared memory that dead jobs left behind."""

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from hpctrain.cluster.check import Check

# Files that Open MPI (5, 4) and MPICH share memory through; a killed job does not remove them.
_SHARED_MEMORY_FILES = ("sm_segment.*", "vader_segment.*", "mpich_shm_*")
_LITTLE_DISK_BYTES = 1e9
_LITTLE_SHARED_MEMORY_BYTES = 128e6  # containers often start with 64 MB


def device_checks(dev: Path = Path("/dev")) -> Iterator[Check]:
    """The GPUs that torch sees, or that it should see."""
    present = sorted(path.name for path in dev.glob("nvidia[0-9]*"))
    gpus = _gpus_of_torch()
    for name, found in gpus:
        yield Check(name, "ok", found)
    if not gpus and present:
        hint = "install a torch built for CUDA, or check the driver with nvidia-smi"
        yield Check("devices", "problem", f"torch does not see {', '.join(present)}", hint)
    elif not gpus:
        yield Check("devices", "ok", "no GPU: runs use the CPU")


def disk_check(folder: Path = Path()) -> Check:
    """Whether runs can be written below `folder`."""
    where = folder.resolve()
    if not os.access(where, os.W_OK):
        return Check("disk", "problem", f"{where} is not writable", "set run_dir to one that is")
    free_bytes = shutil.disk_usage(where).free
    found = f"{free_bytes / 1e9:.1f} GB free in {where}"
    if free_bytes < _LITTLE_DISK_BYTES:
        return Check("disk", "problem", found, "make room, or set run_dir to another file system")
    return Check("disk", "ok", found)


def shared_memory_check(shm: Path = Path("/dev/shm"), proc: Path = Path("/proc")) -> Check:
    """Leftovers of dead jobs in shared memory, and whether there is room for new ones."""
    if not shm.is_dir():
        return Check("shared memory", "note", f"no {shm}", "ranks of one host will be slower")
    dead = _unused_files(shm, proc)
    if dead:
        size_mb = sum(path.stat().st_blocks * 512 for path in dead) / 1e6
        return Check(
            "shared memory",
            "note",
            f"{len(dead)} files of dead jobs in {shm}, {size_mb:.1f} MB",
            _removal(dead),
            tuple(map(str, dead)),
        )
    free_bytes = shutil.disk_usage(shm).free
    found = f"{free_bytes / 1e9:.1f} GB free in {shm}"
    if free_bytes < _LITTLE_SHARED_MEMORY_BYTES:
        hint = "start the container with more, such as --shm-size=1g"
        return Check("shared memory", "problem", found, hint)
    return Check("shared memory", "ok", found)


def _gpus_of_torch() -> list[tuple[str, str]]:
    try:
        import torch
    except ImportError:
        return []
    if not torch.cuda.is_available():
        return []
    properties = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    return [
        (f"cuda:{index}", f"{gpu.name}, {gpu.total_memory / 2**30:.0f} GiB")
        for index, gpu in enumerate(properties)
    ]


def _unused_files(shm: Path, proc: Path) -> list[Path]:
    """Files of this user that no process has mapped; those of others cannot be judged."""
    mine = [
        path
        for pattern in _SHARED_MEMORY_FILES
        for path in sorted(shm.glob(pattern))
        if path.stat().st_uid == os.getuid()
    ]
    mapped = set(_mapped_below(shm, proc)) if mine else set()
    return [path for path in mine if str(path) not in mapped]


def _mapped_below(shm: Path, proc: Path) -> Iterator[str]:
    for maps in proc.glob("[0-9]*/maps"):
        try:
            lines = maps.read_text().splitlines()
        except OSError:  # another user's process, or one that has just ended
            continue
        yield from (line.split(maxsplit=5)[-1] for line in lines if f"{shm}/" in line)


def _removal(dead: Sequence[Path], at_most: int = 3) -> str:
    if len(dead) <= at_most:
        return f"rm {' '.join(map(str, dead))}"
    return "no process uses them: remove those that `hpctrain doctor --json` lists"
