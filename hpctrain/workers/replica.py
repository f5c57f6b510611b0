"""A torch model as flat float32 fragments, and back.

Parameters that require a gradient are outer parameters. Buffers of floating point (BatchNorm
statistics) form a fragment of their own, which is averaged; integer buffers stay local. Nothing is
assumed about dtype, device or memory layout of the model: fragments are float32 on the host. On a
GPU the staging memory is pinned and copies run on a stream of their own. Parameters that FSDP2 has
sharded (DTensor) are gathered on reading and cut again on writing; all ranks of the worker must
then call `read` and `write` together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hpctrain.training.fragments import Fragment, TensorSlot, plan_fragments

Array = NDArray[np.float32]


class Replica:
    """The model of one worker.

    Args:
        model: of the user, already on its device.
        average_buffers: let floating-point buffers be a fragment.
    """

    def __init__(self, model: nn.Module, average_buffers: bool = True) -> None:
        self.model = model
        trained = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
        floating = [(n, b) for n, b in model.named_buffers() if b.is_floating_point()]
        self._parameters: dict[str, Tensor] = dict(trained)
        self._buffers: dict[str, Tensor] = dict(floating) if average_buffers else {}
        self.sharded = any(hasattr(p, "full_tensor") for p in self._parameters.values())
        self.fragments: tuple[Fragment, ...] = ()
        self._copier = _copier(trained[0][1].device if trained else torch.device("cpu"))

    def plan(self, num_workers: int, num_fragments: int | None = None) -> tuple[Fragment, ...]:
        """Cut the model for `num_workers` workers."""
        self.fragments = plan_fragments(
            [TensorSlot(n, p.numel()) for n, p in self._parameters.items()],
            [TensorSlot(n, b.numel()) for n, b in self._buffers.items()],
            num_workers,
            num_fragments,
        )
        return self.fragments

    @property
    def exact(self) -> bool:
        """Is everything float32, so that reading gives back what was written?"""
        tensors = [*self._parameters.values(), *self._buffers.values()]
        return all(tensor.dtype == torch.float32 for tensor in tensors)

    @property
    def numel(self) -> int:
        """Parameters that are trained."""
        return sum(p.numel() for p in self._parameters.values())

    def read(self, fragment: Fragment) -> Array:
        """A new array with the values of `fragment`."""
        return self._copier.to_host([_full(t) for t in self._tensors(fragment)], fragment.numel)

    def write(self, fragment: Fragment, data: Array) -> None:
        """Set the model's values of `fragment` to `data`, shape (P,)."""
        self._copier.to_model(data, self._tensors(fragment), fragment.bounds)

    def read_gradients(self, fragment: Fragment) -> Array:
        """An array of the gradients of `fragment`, zeros where there is none; buffers: values."""
        if fragment.kind == "buffers":
            return self.read(fragment)
        tensors = [_full(_gradient(t)) for t in self._tensors(fragment)]
        return self._copier.to_host(tensors, fragment.numel)

    def write_gradients(self, fragment: Fragment, data: Array) -> None:
        """Set the gradients of `fragment`; buffers: values."""
        if fragment.kind == "buffers":
            self.write(fragment, data)
            return
        gradients = [_gradient(t) for t in self._tensors(fragment)]
        self._copier.to_model(data, gradients, fragment.bounds)

    def gradients(self) -> list[Tensor]:
        """All gradients in the order of parameters; zeros where a rank has none, as others may."""
        return [_gradient(p) for p in self._parameters.values()]

    def floating_buffers(self) -> list[Tensor]:
        return list(self._buffers.values())

    def _tensors(self, fragment: Fragment) -> list[Tensor]:
        source = self._buffers if fragment.kind == "buffers" else self._parameters
        return [source[slot.name] for slot in fragment.tensors]


def _gradient(parameter: Tensor) -> Tensor:
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


def _full(tensor: Tensor) -> Tensor:
    full = getattr(tensor, "full_tensor", None)
    return full() if full is not None else tensor


class _HostCopier:
    """Between tensors on the CPU and flat arrays."""

    def to_host(self, tensors: Sequence[Tensor], numel: int) -> Array:
        flat = torch.empty(numel, dtype=torch.float32)
        with torch.no_grad():
            torch._foreach_copy_(_shaped_like(flat, tensors), list(tensors))
        return flat.numpy()

    def to_model(
        self, data: Array, tensors: Sequence[Tensor], bounds: Sequence[tuple[int, int]]
    ) -> None:
        with torch.no_grad():
            for tensor, (start, stop) in zip(tensors, bounds, strict=True):
                _assign(tensor, _readable(data[start:stop]))


class _CudaCopier(_HostCopier):
    """Between tensors on a GPU and flat arrays: pinned staging memory and a stream of its own."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch has no types here
        self._staging: dict[int, Tensor] = {}

    def to_host(self, tensors: Sequence[Tensor], numel: int) -> Array:
        flat = torch.empty(numel, dtype=torch.float32, pin_memory=True)
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.no_grad(), torch.cuda.stream(self._stream):
            on_device = torch.empty(numel, dtype=torch.float32, device=self._device)
            torch._foreach_copy_(_shaped_like(on_device, tensors), list(tensors))
            flat.copy_(on_device, non_blocking=True)
        self._stream.synchronize()
        return flat.numpy()

    def to_model(
        self, data: Array, tensors: Sequence[Tensor], bounds: Sequence[tuple[int, int]]
    ) -> None:
        pinned = self._staging.get(data.size)
        if pinned is None:
            pinned = self._staging[data.size] = torch.empty(data.size, pin_memory=True)
        pinned.copy_(_readable(data))
        with torch.no_grad(), torch.cuda.stream(self._stream):
            on_device = pinned.to(self._device, non_blocking=True)
        torch.cuda.current_stream(self._device).wait_stream(self._stream)
        on_device.record_stream(torch.cuda.current_stream(self._device))
        with torch.no_grad():
            for tensor, (start, stop) in zip(tensors, bounds, strict=True):
                _assign(tensor, on_device[start:stop])
        self._stream.synchronize()  # the staging memory is about to be used again


def _copier(device: torch.device) -> _HostCopier:
    return _CudaCopier(device) if device.type == "cuda" else _HostCopier()


def _shaped_like(flat: Tensor, tensors: Sequence[Tensor]) -> list[Tensor]:
    views = torch.split(flat, [t.numel() for t in tensors])
    return [view.view(t.shape) for view, t in zip(views, tensors, strict=True)]


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
