"""NVIDIA GPUs, by NVML: the only door to `pynvml`, which is imported when GPUs are looked for.

The counter of energy (Volta and later) has all of a GPU's energy in it. The momentary power of
older GPUs has what was so at the samples: a quarter of the time on A100 and H100
(arXiv 2312.02741), so the counter goes first. NVML shows all GPUs of a host, whatever
CUDA_VISIBLE_DEVICES says; whose they are is decided by their UUID in `attribution`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hpctrain.metering.files import Clock, timed
from hpctrain.metering.finding import Finding
from hpctrain.metering.reading import Device, Reading


@dataclass(frozen=True, slots=True)
class _Gpu:
    device: Device
    read: Callable[[], int | None]


class NvmlSource:
    """The GPUs of this host."""

    name = "nvml"

    def __init__(self, nvml: Any, gpus: tuple[_Gpu, ...], clock: Clock = time.monotonic_ns) -> None:
        self.devices = tuple(gpu.device for gpu in gpus)
        self._reads = tuple(gpu.read for gpu in gpus)
        self._nvml = nvml
        self._clock = clock
        self._open = True

    def read(self) -> tuple[Reading, ...]:
        return tuple(Reading(*timed(read, self._clock)) for read in self._reads)

    def close(self) -> None:
        if self._open:
            self._open = False
            self._nvml.nvmlShutdown()


def find_nvml(clock: Clock = time.monotonic_ns) -> Finding:
    """The GPUs that NVML knows; none if pynvml or the driver is missing."""
    try:
        import pynvml
    except ImportError:
        return Finding("nvml", None, ("pynvml is not installed: pip install 'hpctrain[nvml]'",))
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return Finding("nvml", None, (f"no NVIDIA driver: {error}",))
    gpus: list[_Gpu] = []
    notes: list[str] = []
    for index in range(pynvml.nvmlDeviceGetCount()):
        try:
            gpus.append(_gpu(pynvml, pynvml.nvmlDeviceGetHandleByIndex(index)))
        except pynvml.NVMLError as error:
            notes.append(f"GPU {index} tells neither energy nor power: {error}")
    if not gpus:
        pynvml.nvmlShutdown()
        return Finding("nvml", None, tuple(notes) or ("no NVIDIA GPU",))
    return Finding("nvml", NvmlSource(pynvml, tuple(gpus), clock), tuple(notes))


def _gpu(nvml: Any, handle: Any) -> _Gpu:
    """By its counter if it has one, else by its power.

    Raises:
        NVMLError: if it has neither.
    """
    uuid = nvml.nvmlDeviceGetUUID(handle)
    name = f"gpu:{uuid.decode() if isinstance(uuid, bytes) else uuid}"
    try:
        nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except nvml.NVMLError:
        nvml.nvmlDeviceGetPowerUsage(handle)
        read = _thousandfold(nvml, nvml.nvmlDeviceGetPowerUsage, handle)
        return _Gpu(Device(name, "gpu", "power"), read)
    read = _thousandfold(nvml, nvml.nvmlDeviceGetTotalEnergyConsumption, handle)
    return _Gpu(Device(name, "gpu", "counter"), read)


def _thousandfold(
    nvml: Any, function: Callable[[Any], int], handle: Any
) -> Callable[[], int | None]:
    """Milli to micro; None where NVML refuses."""

    def read() -> int | None:
        try:
            return int(function(handle)) * 1000
        except nvml.NVMLError:
            return None

    return read
