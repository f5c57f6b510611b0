"""The user's DataLoader, dealt out to the ranks, and able to go on where a checkpoint left it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset

from hpctrain.core.seeds import stream


class ShardedBatches:
    """Every `count`-th batch of a batch sampler, from `index` on.

    All shards have the same number of batches, as ranks in lockstep must: an incomplete last group
    is filled up from the beginning of the epoch.
    """

    def __init__(self, batches: Any, index: int, count: int) -> None:
        self._batches = batches
        self._index = index
        self._count = count
        self.skip = 0  # batches of the next epoch that were trained on before a resume

    def __len__(self) -> int:
        return -(-len(self._batches) // self._count)

    def __iter__(self) -> Iterator[Any]:
        # Not before the first batch is asked for: torch makes two iterators and uses the second.
        skip, self.skip = self.skip, 0
        yield from islice(self._shard(), skip, None)

    def _shard(self) -> Iterator[Any]:
        first: list[Any] = []
        group: list[Any] = []
        for batch in self._batches:
            if len(first) < self._count:
                first.append(batch)
            group.append(batch)
            if len(group) == self._count:
                yield group[self._index]
                group = []
        if group:
            group += [first[i % len(first)] for i in range(self._count - len(group))]
            yield group[self._index]


class SignalsAreNotForUs:
    """A `worker_init_fn`: a batch system signals every process of a job, but only ranks can save.

    A DataLoader worker that died of SIGTERM would take its rank with it before that had saved.
    """

    def __init__(self, user: Callable[[int], None] | None) -> None:
        self._user = user

    def __call__(self, worker: int) -> None:
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN)
        if self._user is not None:
            self._user(worker)


class IslandLoader:
    """Stands in for the user's loader: the same batches, but only this rank's share of them.

    After a resume, epochs that are over are empty, and the one in progress begins behind the last
    batch that was trained on; `arrived` is called when that point is reached.

    Args:
        loader: of the user.
        index, count: which of how many shards; (0, 1) leaves the data as they are.
        seed: of the shuffling, if the sampler has no generator of its own: all ranks must draw
            alike.
        counted: told how many samples (of integer sequences: tokens) each batch has.
        between: called when the loop is done with a batch and asks for the next.
    """

    def __init__(
        self,
        loader: DataLoader[Any],
        index: int,
        count: int,
        seed: int,
        counted: Callable[[int], None] = lambda samples: None,
        between: Callable[[], None] = lambda: None,
    ) -> None:
        self.epoch = 0  # of the iteration that comes next
        self.batch = 0  # batches handed out in this epoch
        self.arrived: Callable[[], None] | None = None
        self._counted = counted
        self._between = between
        self._seed = seed
        self._resume_at: tuple[int, int] | None = None
        self._original = loader
        self._shards: ShardedBatches | None = None
        self._every = (index, count)
        self._generator: torch.Generator | None = None  # of the shuffling, once it is ours
        self._loader = self._deal_out(loader, index, count)

    def __len__(self) -> int:
        return len(self._loader)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)

    def __iter__(self) -> Iterator[Any]:
        epoch = self.epoch
        self.epoch += 1
        if self._resume_at is not None and epoch < self._resume_at[0]:
            return
        self._seed_epoch(epoch)
        skip = self._resume_at[1] if self._resume_at is not None else 0
        self._resume_at = None
        self.batch = skip
        batches = self._batches(skip)
        if self.arrived is not None:
            arrived, self.arrived = self.arrived, None
            arrived()
        for batch in batches:
            self.batch += 1
            self._counted(num_samples(batch))
            yield batch
            self._between()

    def state_dict(self) -> dict[str, int]:
        """The position: the epoch in progress, and how many of its batches were handed out."""
        return {"epoch": max(0, self.epoch - 1), "batch": self.batch}

    def resume(self, state: dict[str, int], arrived: Callable[[], None] | None) -> None:
        """Go on from `state`; `arrived` is called when the loop has come there."""
        self._resume_at = (state["epoch"], state["batch"])
        self.arrived = arrived

    def _deal_out(self, loader: DataLoader[Any], index: int, count: int) -> DataLoader[Any]:
        if loader.batch_sampler is None or isinstance(loader.dataset, IterableDataset):
            return loader  # every count-th batch of it, see _batches
        self._shards = ShardedBatches(loader.batch_sampler, index, count)
        return DataLoader(
            loader.dataset,
            batch_sampler=self._shards,
            num_workers=loader.num_workers,
            collate_fn=loader.collate_fn,
            pin_memory=loader.pin_memory,
            timeout=loader.timeout,
            worker_init_fn=SignalsAreNotForUs(loader.worker_init_fn),
            multiprocessing_context=loader.multiprocessing_context,
            generator=loader.generator,
            prefetch_factor=loader.prefetch_factor,
            persistent_workers=loader.persistent_workers,
        )

    def _batches(self, skip: int) -> Iterator[Any]:
        if self._shards is not None:
            self._shards.skip = skip
            return iter(self._loader)
        index, count = self._every
        return islice(islice(iter(self._loader), index, None, count), skip, None)

    def _seed_epoch(self, epoch: int) -> None:
        """Shuffle alike on all ranks, and alike again after a resume."""
        sampler = getattr(self._original.batch_sampler, "sampler", None)
        if sampler is None or not hasattr(sampler, "generator"):
            return  # it draws nothing
        if sampler.generator is not self._generator:
            return  # a generator of the user's
        seed = stream(self._seed, 0, f"shuffle of epoch {epoch}")
        self._generator = sampler.generator = torch.Generator().manual_seed(seed)


def num_samples(batch: Any) -> int:
    """What a batch counts for: the tokens of a 2-D integer tensor, else its first dimension."""
    first = _first_tensor(batch)
    if first is None or first.dim() == 0:
        return 1
    if first.dim() == 2 and not first.is_floating_point():
        return first.numel()
    return first.shape[0]


def _first_tensor(batch: Any) -> torch.Tensor | None:
    if isinstance(batch, torch.Tensor):
        return batch
    values = batch.values() if isinstance(batch, dict) else batch
    if not isinstance(values, (list, tuple)) and not isinstance(batch, dict):
        return None
    return next((t for t in map(_first_tensor, values) if t is not None), None)
