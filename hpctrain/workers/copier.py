"""Between a model's tensors and flat float32 arrays on the host.

From a GPU values travel in two steps. They are put together on the device in the stream that
computes, so that the next inner step cannot touch them; then a stream of its own takes them to
pinned memory, while that step runs. Nobody waits before the array is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from numpy.typing import NDArray
from torch import Tensor

from hpctrain.workers.reading import Array, Read, Reading

Bounds = Sequence[tuple[int, int]]


class Copier(Protocol):
    """A way between tensors and flat arrays."""

    def begin(self, tensors: Sequence[Tensor], numel: int) -> Reading:
        """Read `tensors`, one after the other, into a new array of `numel` elements."""
        ...

    def to_model(self, data: Array, tensors: Sequence[Tensor], bounds: Bounds) -> None:
        """Set each tensor to its part of `data`; what the model does next sees it.

        `data` must stay as it is only until this returns.
        """
        ...


class HostCopier:
    """Tensors on the CPU."""

    def begin(self, tensors: Sequence[Tensor], numel: int) -> Reading:
        flat = torch.empty(numel, dtype=torch.float32)
        _fill(flat, tensors)
        return Read(flat.numpy())

    def to_model(self, data: Array, tensors: Sequence[Tensor], bounds: Bounds) -> None:
        values = _readable(data)
        with torch.no_grad():
            for tensor, (start, stop) in zip(tensors, bounds, strict=True):
                _assign(tensor, values[start:stop])


class CudaCopier:
    """Tensors on a GPU: pinned memory, and a stream for each direction."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._out = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # not typed by torch
        self._in = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # not typed by torch
        self._staging: dict[int, tuple[Tensor, torch.cuda.Event]] = {}

    def begin(self, tensors: Sequence[Tensor], numel: int) -> Reading:
        together = torch.empty(numel, dtype=torch.float32, device=self._device)
        _fill(together, tensors)
        flat = torch.empty(numel, dtype=torch.float32, pin_memory=True)
        self._out.wait_stream(torch.cuda.current_stream(self._device))
        with torch.no_grad(), torch.cuda.stream(self._out):
            flat.copy_(together, non_blocking=True)
        together.record_stream(self._out)
        return _CudaReading(flat, self._out.record_event())

    def to_model(self, data: Array, tensors: Sequence[Tensor], bounds: Bounds) -> None:
        compute = torch.cuda.current_stream(self._device)
        pinned = self._staged(data)
        with torch.no_grad(), torch.cuda.stream(self._in):
            values = pinned.to(self._device, non_blocking=True)
        there = self._in.record_event()
        self._staging[data.size] = pinned, there
        compute.wait_event(there)  # the device waits, the processor does not
        values.record_stream(compute)
        with torch.no_grad():
            for tensor, (start, stop) in zip(tensors, bounds, strict=True):
                _assign(tensor, values[start:stop])

    def _staged(self, data: Array) -> Tensor:
        """`data` in pinned memory, once what was there before is on the device."""
        if data.size in self._staging:
            pinned, gone = self._staging[data.size]
            gone.synchronize()
        else:
            pinned = torch.empty(data.size, dtype=torch.float32, pin_memory=True)
        return pinned.copy_(_readable(data))


@dataclass(frozen=True, slots=True)
class _CudaReading:
    flat: Tensor
    there: torch.cuda.Event

    def ready(self) -> bool:
        return bool(self.there.query())  # type: ignore[no-untyped-call]  # not typed by torch

    def array(self) -> Array:
        self.there.synchronize()
        return self.flat.numpy()


def copier_for(device: torch.device) -> Copier:
    """The way to and from tensors on `device`."""
    return CudaCopier(device) if device.type == "cuda" else HostCopier()


def _fill(flat: Tensor, tensors: Sequence[Tensor]) -> None:
    parts = torch.split(flat, [t.numel() for t in tensors])
    views = [part.view(t.shape) for part, t in zip(parts, tensors, strict=True)]
    with torch.no_grad():
        torch._foreach_copy_(views, list(tensors))


def _readable(data: NDArray[Any]) -> Tensor:
    """A tensor over the memory of `data`, which is only read (torch has no read-only tensors)."""
    if not data.flags.writeable:
        data = data.copy()
    return torch.from_numpy(data)


def _assign(tensor: Tensor, values: Tensor) -> None:
    mesh = getattr(tensor, "device_mesh", None)
    if mesh is None:
        tensor.copy_(values.view(tensor.shape))
        return
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(tensor, DTensor)
    full = values.view(tensor.shape).to(tensor.device)
    tensor.copy_(distribute_tensor(full, mesh, tensor.placements))
