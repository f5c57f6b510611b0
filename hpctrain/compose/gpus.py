"""Which GPUs of the host are a rank's own, by the names of the energy devices; who shares one."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hpctrain.cluster.launcher import read_launcher
from hpctrain.metering.crew import Member
from hpctrain.metering.reading import Device

if TYPE_CHECKING:
    from hpctrain.runtime.ports import World

_INDEX = "gpu#"  # and the number that the driver gives it


def own_gpus(device: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The GPU of a rank that trains on `device`, such as "cuda:2"; none on the CPU."""
    if not device.startswith("cuda"):
        return ()
    import torch

    index = torch.device(device).index or 0
    return (gpu_name(torch.cuda.get_device_properties(index), index, environ),)


def local_rank_of(world: World) -> int:
    """Collective. The number of this rank on its host, counted where the launcher is silent."""
    hosts = world.hosts()
    told = read_launcher(os.environ).local_rank
    return hosts[: world.rank].count(hosts[world.rank]) if told is None else told


def tell_of_sharing(device: str, world: World) -> None:
    """Collective. A line on stderr, once, if several ranks train on one GPU."""
    gpu = None
    if device.startswith("cuda"):
        import torch

        gpu = identity_of(torch.cuda.get_device_properties(device))
    gpus, hosts = world.gather(gpu), world.hosts()
    note = sharing_note(gpus, hosts)
    if note and world.rank == 0:
        print(note, file=sys.stderr)


def identity_of(properties: Any) -> str | None:
    """What no other GPU of the host has, whatever number it is seen by; None if torch knows none.

    Numbers do not tell: where each rank is shown one GPU, all of them see a number 0.
    """
    uuid = str(getattr(properties, "uuid", ""))
    if uuid.strip("0-"):
        return f"GPU-{uuid.removeprefix('GPU-')}"
    place = [getattr(properties, f"pci_{part}_id", None) for part in ("domain", "bus", "device")]
    return None if None in place else "PCI " + ":".join(f"{part:02x}" for part in place)


def sharing_note(gpus: Sequence[str | None], hosts: Sequence[str]) -> str:
    """What to tell of ranks that share a GPU; "" if none do.

    Args:
        gpus: the GPU of every rank; None: it has none, or an unknown one.
        hosts: of every rank.
    """
    users: dict[tuple[str, str], list[int]] = {}
    for rank, (gpu, host) in enumerate(zip(gpus, hosts, strict=True)):
        if gpu is not None:
            users.setdefault((host, gpu), []).append(rank)
    shared = {place: ranks for place, ranks in users.items() if len(ranks) > 1}
    if not shared:
        return ""
    (host, gpu), ranks = next(iter(shared.items()))
    more = f", and {len(shared) - 1} more GPUs are shared" if len(shared) > 1 else ""
    return (
        f"note: the ranks {', '.join(map(str, ranks))} share one GPU ({gpu} of {host}){more}: they "
        "wait for each other; start one rank for each GPU, and let each see it"
    )


def gpu_kind(device: str) -> str:
    """What GPU `device` is, as its maker names it, such as "NVIDIA A100-SXM4-40GB"; else "cpu"."""
    if not device.startswith("cuda"):
        return "cpu"
    import torch

    return str(torch.cuda.get_device_name(device))


def gpu_name(properties: Any, index: int, environ: Mapping[str, str]) -> str:
    """By its UUID where torch knows it, else by what CUDA_VISIBLE_DEVICES says of its index."""
    uuid = getattr(properties, "uuid", None)
    if uuid is not None:
        return f"gpu:GPU-{str(uuid).removeprefix('GPU-')}"
    visible = visible_gpus(environ)
    return visible[index] if index < len(visible) else f"{_INDEX}{index}"


def visible_gpus(environ: Mapping[str, str]) -> tuple[str, ...]:
    """What CUDA_VISIBLE_DEVICES gives to this rank; none if it says nothing, or MIG slices."""
    words = [word.strip() for word in environ.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    names = []
    for word in words:
        if word.isdigit():
            names.append(f"{_INDEX}{word}")
        elif re.match("GPU-", word):
            names.append(f"gpu:{word}")
    return tuple(names) if len(names) == len(words) else ()


def named_as(devices: Sequence[Device], member: Member) -> Member:
    """The member with its GPUs named as the devices of the host are; unknown ones are left out."""
    gpus = [device.name for device in devices if device.component == "gpu"]
    return replace(member, gpus=tuple(
        found for name in member.gpus if (found := _find(name, gpus)) is not None
    ))  # fmt: skip


def _find(name: str, gpus: Sequence[str]) -> str | None:
    if name.startswith(_INDEX):
        index = int(name.removeprefix(_INDEX))
        return gpus[index] if index < len(gpus) else None
    return next((gpu for gpu in gpus if gpu.startswith(name)), None)  # a UUID may be cut short
