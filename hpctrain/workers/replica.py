"""A torch model as flat float32 fragments, and back.

Parameters that require a gradient are outer parameters. Buffers of floating point (BatchNorm
statistics) form a fragment of their own, which is averaged; integer buffers stay local. Nothing is
assumed about dtype, device or memory layout of the model: fragments are float32 on the host.
Parameters that FSDP2 has sharded (DTensor) are gathered on reading and cut again on writing; all
ranks of the worker must then call `read` (or `gather`) and `write` together.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from hpctrain.training.fragments import Fragment, TensorSlot, plan_fragments
from hpctrain.workers.copier import Copier, copier_for
from hpctrain.workers.reading import Array, Read, Reading
from hpctrain.workers.shards import is_shard, unwrapped, whole


class Replica:
    """The model of one worker.

    Args:
        model: of the user, already on its device; wrapped in DDP, or sharded, or neither.
        average_buffers: let floating-point buffers be a fragment.
        copier: the way to the host; None: the one for the model's device.
    """

    def __init__(
        self, model: nn.Module, average_buffers: bool = True, copier: Copier | None = None
    ) -> None:
        self.model = unwrapped(model)
        trained = [(n, p) for n, p in self.model.named_parameters() if p.requires_grad]
        floating = [(n, b) for n, b in self.model.named_buffers() if b.is_floating_point()]
        self._parameters: dict[str, Tensor] = dict(trained)
        self._buffers: dict[str, Tensor] = dict(floating) if average_buffers else {}
        self.sharded = any(is_shard(p) for p in self.model.parameters())
        self.fragments: tuple[Fragment, ...] = ()
        self._unshardable: list[Any] = [m for m in self.model.modules() if hasattr(m, "reshard")]
        device = trained[0][1].device if trained else torch.device("cpu")
        self._copier = copier or copier_for(device)

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
        return self._begin(self._tensors(fragment), fragment).array()

    def begin_read(self, fragment: Fragment) -> Reading:
        """The values of `fragment` as they are now, when they have come to the host.

        Shards come at once: else the whole model would lie on one device until they have.
        """
        return (
            Read(self.read(fragment))
            if self.sharded
            else self._begin(self._tensors(fragment), fragment)
        )

    def gather(self, fragment: Fragment) -> None:
        """Take part in what another rank of the worker reads."""
        for tensor in self._tensors(fragment):
            whole(tensor)

    def gather_gradients(self, fragment: Fragment) -> None:
        """Take part in what another rank of the worker reads by `read_gradients`."""
        for tensor in self._tensors(fragment):
            whole(_gradient(tensor))

    def write(self, fragment: Fragment, data: Array) -> None:
        """Set the model's values of `fragment` to `data`, shape (P,)."""
        for module in self._unshardable:  # after an evaluation FSDP2 computes on gathered copies
            module.reshard()
        self._copier.to_model(data, self._tensors(fragment), fragment.bounds)

    def read_gradients(self, fragment: Fragment) -> Array:
        """An array of the gradients of `fragment`, zeros where there is none; buffers: values."""
        if fragment.kind == "buffers":
            return self.read(fragment)
        return self._begin([_gradient(t) for t in self._tensors(fragment)], fragment).array()

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

    def _begin(self, tensors: list[Tensor], fragment: Fragment) -> Reading:
        return self._copier.begin([whole(tensor) for tensor in tensors], fragment.numel)

    def _tensors(self, fragment: Fragment) -> list[Tensor]:
        source = self._buffers if fragment.kind == "buffers" else self._parameters
        return [source[slot.name] for slot in fragment.tensors]


def _gradient(parameter: Tensor) -> Tensor:
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad
