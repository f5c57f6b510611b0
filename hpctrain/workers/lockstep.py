"""The ranks of one worker in lockstep: the leader decides, the others follow its words.

Gradients are averaged over the ranks before each optimizer step, so all ranks hold the same
parameters, and the leader can speak for them. Between steps it says what to do in two integers;
`GO` means: take the next step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import IntEnum
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpctrain.training.fragments import Fragment
from hpctrain.workers.reading import Array, Read, Reading
from hpctrain.workers.replica import Replica


class RankGroup(Protocol):
    """The ranks of one worker; all of its methods are collective among them."""

    rank: int
    size: int

    def broadcast(self, data: NDArray[Any]) -> None:
        """Overwrite `data` everywhere with the leader's; waiting costs no processor time."""
        ...

    def sum(self, data: Array) -> None:
        """Replace `data`, float32, by its sum over the ranks."""
        ...

    def gather(self, item: Any) -> list[Any]:
        """All ranks' items at the leader; an empty list elsewhere."""
        ...

    def sum_on_device(self, flat: Tensor) -> bool:
        """Replace a flat CUDA tensor by its sum over the ranks, if MPI can; False: it cannot."""
        ...


class SingleRank:
    """A worker of one rank."""

    rank = 0
    size = 1

    def broadcast(self, data: NDArray[Any]) -> None:
        """Nobody to tell."""

    def sum(self, data: Array) -> None:
        """Nobody to add."""

    def gather(self, item: Any) -> list[Any]:
        return [item]

    def sum_on_device(self, flat: Tensor) -> bool:
        return True


PROGRESS_UNIT = 2.0**-40  # progress travels as a whole number of these, alike to all ranks


class Word(IntEnum):
    """What the leader tells the other ranks to do."""

    GO = 0
    READ = 1
    READ_GRADIENTS = 2
    WRITE = 3
    WRITE_GRADIENTS = 4
    SAVE = 5
    END = 6
    FROZEN = 7
    SPENT = 8
    PROGRESS = 9
    DOMAIN = 10


class Lockstep:
    """The model of a worker, spread over its ranks. To the leader it looks like a `Replica`.

    Args:
        replica: this rank's copy of the model, or its shards.
        group: the ranks of the worker.
        save: writes this rank's part of a snapshot, given its number.
        average: whether gradients are ours to average; False if the user's model does it (DDP,
            FSDP2).

    Attributes:
        spent: energy of this rank to date, in the unit of the budget; None on all ranks if there is
            nothing to tell.
        at_progress: told how much of the run is done, on all ranks; None if nobody wants to know.
        at_domain: told the number of the domain to train on, on all ranks.
        waits: told when a rank that follows begins to wait for the leader's word, and when it came.
    """

    def __init__(
        self,
        replica: Replica,
        group: RankGroup,
        save: Callable[[int], Any],
        average: bool = True,
    ) -> None:
        self.replica = replica
        self.group = group
        self._save = save
        self._average = average and group.size > 1 and not replica.sharded
        self.spent: Callable[[], float] | None = None
        self.at_progress: Callable[[float], object] | None = None
        self.at_domain: Callable[[int], object] = lambda domain: None
        self.waits: Callable[[bool], object] = lambda waiting: None
        self._word = np.zeros(2, np.int64)
        self._flat: Array = np.empty(0, np.float32)

    @property
    def fragments(self) -> tuple[Fragment, ...]:
        return self.replica.fragments

    @property
    def exact(self) -> bool:
        return self.replica.exact

    @property
    def leads(self) -> bool:
        return self.group.rank == 0

    def read(self, fragment: Fragment) -> Array:
        if fragment.kind == "buffers" or self.replica.sharded:
            self.say(Word.READ, fragment.index)
        return self._read(fragment)

    def begin_read(self, fragment: Fragment) -> Reading:
        """The values of `fragment` as they are now; means of buffers, and shards, come at once."""
        if fragment.kind == "buffers" or self.replica.sharded:
            return Read(self.read(fragment))
        return self.replica.begin_read(fragment)

    def read_gradients(self, fragment: Fragment) -> Array:
        if fragment.kind == "buffers" or self.replica.sharded:
            self.say(Word.READ_GRADIENTS, fragment.index)
        if fragment.kind == "buffers":
            return self._read(fragment)
        return self.replica.read_gradients(fragment)

    def write(self, fragment: Fragment, data: Array) -> None:
        self.say(Word.WRITE, fragment.index)
        self.group.broadcast(data)
        self.replica.write(fragment, data)

    def write_gradients(self, fragment: Fragment, data: Array) -> None:
        self.say(Word.WRITE_GRADIENTS, fragment.index)
        self.group.broadcast(data)
        self.replica.write_gradients(fragment, data)

    def save(self, number: int) -> list[Any]:
        """Let every rank write its part of a snapshot; returns what each reports."""
        self.say(Word.SAVE, number)
        return self.group.gather(self._save(number))

    def spent_by_all(self) -> float:
        """Energy of all ranks of the worker to date; 0 if there is nothing to tell."""
        if self.spent is None:
            return 0.0
        self.say(Word.SPENT)
        return math.fsum(self.group.gather(self.spent()))

    def tell_progress(self, done: float) -> None:
        """Let all ranks of the worker know how much of the run is done, from 0 to 1."""
        if self.at_progress is not None:
            units = round(done / PROGRESS_UNIT)
            self.say(Word.PROGRESS, units)
            self.at_progress(units * PROGRESS_UNIT)

    def tell_domain(self, domain: int) -> None:
        """Let all ranks of the worker train on the domain of this number."""
        self.say(Word.DOMAIN, domain)
        self.at_domain(domain)

    def say(self, word: Word, argument: int = 0) -> None:
        """The leader's next word."""
        if self.group.size > 1:
            self._word[:] = word, argument
            self.group.broadcast(self._word)

    def follow(self) -> Word:
        """Every other rank: do what the leader says until it says GO, END or FROZEN."""
        while True:
            self.waits(True)
            self.group.broadcast(self._word)
            self.waits(False)
            word, argument = Word(int(self._word[0])), int(self._word[1])
            if word in (Word.GO, Word.END, Word.FROZEN):
                return word
            self._obey(word, argument)

    def average_gradients(self) -> None:
        """Replace the gradients by their mean over the ranks of the worker, in float32."""
        if not self._average:
            return
        gradients = self.replica.gradients()
        numel = sum(g.numel() for g in gradients)
        if self._flat.size != numel:
            self._flat = np.empty(numel, np.float32)
        self._mean(gradients, self._flat)

    def _obey(self, word: Word, argument: int) -> None:
        if word is Word.SAVE:
            self.group.gather(self._save(argument))
            return
        if word is Word.SPENT:
            self.group.gather(0.0 if self.spent is None else self.spent())
            return
        if word is Word.PROGRESS:
            if self.at_progress is not None:
                self.at_progress(argument * PROGRESS_UNIT)
            return
        if word is Word.DOMAIN:
            self.at_domain(argument)
            return
        fragment = self.fragments[argument]
        match word:
            case Word.READ | Word.READ_GRADIENTS if fragment.kind == "buffers":
                self._read(fragment)
            case Word.READ:
                self.replica.gather(fragment)
            case Word.READ_GRADIENTS:
                self.replica.gather_gradients(fragment)
            case Word.WRITE | Word.WRITE_GRADIENTS:
                data = np.empty(fragment.numel, np.float32)
                self.group.broadcast(data)
                write = self.replica.write if word is Word.WRITE else self.replica.write_gradients
                write(fragment, data)

    def _read(self, fragment: Fragment) -> Array:
        data = self.replica.read(fragment)
        if fragment.kind == "buffers" and self.group.size > 1:
            self.group.sum(data)
            data *= np.float32(1 / self.group.size)
        return data

    def _mean(self, tensors: list[Tensor], flat: Array) -> None:
        """Average over the ranks; torch.distributed does it on the device where it is set up."""
        if tensors and tensors[0].is_cuda and self._torch_has_our_ranks():
            for tensor in tensors:
                torch.distributed.all_reduce(tensor, op=torch.distributed.ReduceOp.AVG)
            return
        if tensors and tensors[0].is_cuda and self._mean_on_device(tensors):
            return
        views = [
            view.view(t.shape)
            for view, t in zip(
                torch.split(torch.from_numpy(flat), [t.numel() for t in tensors]),
                tensors,
                strict=True,
            )
        ]
        with torch.no_grad():
            torch._foreach_copy_(views, tensors)
            self.group.sum(flat)
            flat *= np.float32(1 / self.group.size)
            torch._foreach_copy_(tensors, views)

    def _torch_has_our_ranks(self) -> bool:
        """Is there a process group of torch, and is it of this worker and not of all?"""
        ready = torch.distributed.is_available() and torch.distributed.is_initialized()
        return ready and torch.distributed.get_world_size() == self.group.size

    def _mean_on_device(self, tensors: list[Tensor]) -> bool:
        """Average through CUDA-aware MPI, without a way over the host."""
        with torch.no_grad():
            flat = torch.cat([tensor.reshape(-1).float() for tensor in tensors])
            torch.cuda.synchronize(flat.device)  # MPI does not know about streams
            if not self.group.sum_on_device(flat):
                return False
            flat /= self.group.size
            parts = torch.split(flat, [t.numel() for t in tensors])
            views = [part.view(t.shape) for part, t in zip(parts, tensors, strict=True)]
            torch._foreach_copy_(tensors, views)
        return True
