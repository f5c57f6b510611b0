"""Which GPUs of the host are a rank's own, by the names of the energy devices."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hpctrain.metering.crew import Member
from hpctrain.metering.reading import Device

_INDEX = "gpu#"  # and the number that the driver gives it


def own_gpus(device: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The GPU of a rank that trains on `device`, such as "cuda:2"; none on the CPU."""
    if not device.startswith("cuda"):
        return ()
    import torch

    index = torch.device(device).index or 0
    return (gpu_name(torch.cuda.get_device_properties(index), index, environ),)


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
