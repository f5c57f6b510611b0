"""The user's data, dealt out to ranks, and taken up again where a checkpoint left it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from hpctrain.workers.loader import IslandLoader, num_samples


def numbers(count: int, **options: Any) -> DataLoader[Any]:
    return DataLoader(TensorDataset(torch.arange(count)), batch_size=2, **options)


def seen(loader: IslandLoader) -> list[int]:
    return [int(x) for (batch,) in loader for x in batch]


@pytest.mark.parametrize("shuffle", [False, True])
def test_shards_are_disjoint_and_together_all_data(shuffle: bool) -> None:
    shards = [seen(IslandLoader(numbers(24, shuffle=shuffle), i, 3, seed=1)) for i in range(3)]
    assert sorted(number for shard in shards for number in shard) == list(range(24))
    assert [len(shard) for shard in shards] == [8, 8, 8]


def test_all_shards_have_the_same_number_of_batches_whatever_is_left_over() -> None:
    loaders = [IslandLoader(numbers(10), i, 3, seed=1) for i in range(3)]
    assert [len(loader) for loader in loaders] == [2, 2, 2]
    shards = [list(loader) for loader in loaders]
    assert [len(shard) for shard in shards] == [2, 2, 2]
    assert {int(x) for shard in shards for (batch,) in shard for x in batch} == set(range(10))


def test_every_epoch_is_shuffled_anew_and_alike_on_all_ranks() -> None:
    first, second = (IslandLoader(numbers(12, shuffle=True), 0, 1, seed=4) for _ in range(2))
    epochs = [seen(first), seen(first)]
    assert epochs[0] != epochs[1]
    assert [seen(second), seen(second)] == epochs


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_resumed_loader_goes_on_behind_the_last_batch(num_workers: int) -> None:
    whole = IslandLoader(numbers(20, shuffle=True), 1, 2, seed=5)
    expected = [seen(whole), seen(whole)]
    loader = numbers(20, shuffle=True, num_workers=num_workers)
    resumed = IslandLoader(loader, 1, 2, seed=5)
    arrived: list[bool] = []
    resumed.resume({"epoch": 1, "batch": 2}, lambda: arrived.append(True))
    assert seen(resumed) == []
    assert not arrived
    assert seen(resumed) == expected[1][4:]
    assert arrived == [True]
    assert resumed.state_dict() == {"epoch": 1, "batch": 5}


def test_an_iterable_dataset_is_dealt_out_too() -> None:
    class Stream(IterableDataset[int]):
        def __iter__(self) -> Any:
            return iter(range(12))

    shards = [
        [batch.tolist() for batch in IslandLoader(DataLoader(Stream(), batch_size=2), i, 2, seed=0)]
        for i in range(2)
    ]
    assert sorted(x for shard in shards for batch in shard for x in batch) == list(range(12))


def test_the_users_attributes_shine_through() -> None:
    assert IslandLoader(numbers(4), 0, 1, seed=0).batch_size == 2


@pytest.mark.parametrize(
    ("batch", "count"),
    [
        (torch.zeros(5, 3), 5),
        (torch.zeros(2, 7, dtype=torch.int64), 14),
        ({"x": torch.zeros(4, 2), "y": torch.zeros(4)}, 4),
        ([torch.zeros(3, 8, 8), torch.zeros(3)], 3),
        ("text", 1),
    ],
)
def test_a_batch_counts_tokens_of_sequences_and_else_samples(batch: object, count: int) -> None:
    assert num_samples(batch) == count
