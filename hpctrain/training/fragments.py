"""The outer parameters in fragments of whole tensors, each of which lives at one home worker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapreplace
from typing import Literal

from hpctrain.core.events import WorkerId
from hpctrain.core.plain import plain

FragmentKind = Literal["parameters", "buffers"]


@plain
@dataclass(frozen=True, slots=True)
class TensorSlot:
    """One tensor of the model: its name and its number of elements."""

    name: str
    numel: int


@plain
@dataclass(frozen=True, slots=True)
class Fragment:
    """Some tensors of the model, flat and one after the other, and the worker that owns them."""

    index: int
    kind: FragmentKind
    tensors: tuple[TensorSlot, ...]
    home: WorkerId

    @property
    def numel(self) -> int:
        return sum(tensor.numel for tensor in self.tensors)

    @property
    def bounds(self) -> tuple[tuple[int, int], ...]:
        """[start, stop) of each tensor within the flat fragment."""
        stops: list[int] = []
        for tensor in self.tensors:
            stops.append(tensor.numel + (stops[-1] if stops else 0))
        return tuple(zip([0, *stops], stops, strict=False))


def plan_fragments(
    parameters: Sequence[TensorSlot],
    buffers: Sequence[TensorSlot],
    num_workers: int,
    num_fragments: int | None = None,
) -> tuple[Fragment, ...]:
    """Cut a model into fragments of about equal size and spread their homes evenly by bytes.

    Args:
        parameters: the tensors that are trained, in the order of the model.
        buffers: the tensors that are averaged; they become one more fragment, if there are any.
        num_workers: homes to spread over.
        num_fragments: of parameters; None: one per worker, and never more than there are tensors.

    Raises:
        ValueError: if there is nothing to train.
    """
    if not parameters:
        raise ValueError("the model has no parameters that require a gradient; nothing to train")
    wanted = num_workers if num_fragments is None else num_fragments
    bins = _pack([tensor.numel for tensor in parameters], min(wanted, len(parameters)))
    pieces: list[tuple[FragmentKind, tuple[TensorSlot, ...]]] = [
        ("parameters", tuple(parameters[i] for i in sorted(members))) for members in bins if members
    ]
    if buffers:
        pieces.append(("buffers", tuple(buffers)))
    sizes = [sum(tensor.numel for tensor in tensors) for _, tensors in pieces]
    home_of = {
        piece: home for home, members in enumerate(_pack(sizes, num_workers)) for piece in members
    }
    return tuple(Fragment(i, kind, tensors, home_of[i]) for i, (kind, tensors) in enumerate(pieces))


def _pack(sizes: Sequence[int], num_bins: int) -> list[list[int]]:
    """Largest first into the lightest bin; the first of equals. Bins may stay empty."""
    bins: list[list[int]] = [[] for _ in range(num_bins)]
    loads = [(0, index) for index in range(num_bins)]
    for item in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
        load, lightest = loads[0]
        bins[lightest].append(item)
        heapreplace(loads, (load + sizes[item], lightest))
    return bins
