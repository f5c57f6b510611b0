"""What the user may wrap a model in, on a mesh of one rank in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from hpctrain.errors import ConfigError, HpctrainError
from hpctrain.workers.replica import Replica
from hpctrain.workers.shards import (
    averages_by_itself,
    check_wrapping,
    joined_shards,
    local_shards,
    meshes_of,
    unwrapped,
)


@pytest.fixture(autouse=True)
def process_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def sharded() -> Any:
    model = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Linear(5, 1))
    fully_shard(model)
    return model


def test_a_model_that_averages_by_itself_is_known() -> None:
    bare = nn.Linear(2, 2)
    assert not averages_by_itself(bare)
    assert averages_by_itself(DistributedDataParallel(bare))
    assert averages_by_itself(sharded())


def test_names_are_those_of_the_model_inside() -> None:
    bare = nn.Linear(2, 2)
    assert unwrapped(DistributedDataParallel(bare)) is bare
    assert unwrapped(torch.compile(bare, backend="eager")) is bare


@pytest.mark.parametrize("wrap", [DistributedDataParallel, lambda model: sharded()])
def test_a_group_of_other_ranks_than_the_workers_is_refused(wrap: Any) -> None:
    model = wrap(nn.Linear(2, 2))
    check_wrapping(model, num_ranks=1)
    with pytest.raises(HpctrainError, match="wrapped over 1 ranks, but this worker has 2"):
        check_wrapping(model, num_ranks=2)


def test_fsdp1_is_refused() -> None:
    class FullyShardedDataParallel(nn.Linear):
        """Has the name, which is all that is looked at: the real one wants an accelerator."""

    with pytest.raises(HpctrainError, match="fully_shard"):
        check_wrapping(FullyShardedDataParallel(2, 2), num_ranks=1)


def test_shards_survive_a_checkpoint_with_the_state_of_their_optimizer() -> None:
    model = sharded()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    model(torch.ones(4, 3)).sum().backward()
    optimizer.step()
    tree = local_shards({"model": model.state_dict(), "optimizer": [optimizer.state_dict()]})
    assert "DTensor" not in repr(tree)
    other = sharded()
    optimizer_of_other = torch.optim.AdamW(other.parameters(), lr=0.1)
    back = joined_shards(tree, meshes_of(other))
    other.load_state_dict(back["model"])
    optimizer_of_other.load_state_dict(back["optimizer"][0])
    for name, tensor in model.state_dict().items():
        assert torch.equal(_whole(other.state_dict()[name]), _whole(tensor)), name
    for mine, theirs in zip(
        optimizer.state.values(), optimizer_of_other.state.values(), strict=True
    ):
        assert torch.equal(_whole(mine["exp_avg"]), _whole(theirs["exp_avg"]))


def test_shards_of_another_mesh_are_refused() -> None:
    model = sharded()
    tree = local_shards(model.state_dict())
    tree["0.weight"]["mesh"] = [0, 1]
    with pytest.raises(ConfigError, match=r"mesh \[0, 1\].*now the model's meshes are \[\[0\]\]"):
        joined_shards(tree, meshes_of(model))


def test_whole_models_and_shards_are_not_mixed_up() -> None:
    model, bare = sharded(), nn.Linear(2, 2)
    with pytest.raises(ConfigError, match="was not sharded, but now it is"):
        joined_shards(bare.state_dict(), meshes_of(model))
    with pytest.raises(ConfigError, match="it is not sharded"):
        joined_shards(local_shards(model.state_dict()), meshes_of(bare))


def test_a_sharded_model_is_written_where_an_evaluation_has_gathered_it() -> None:
    model = sharded()
    replica = Replica(model)
    with torch.no_grad():
        model.eval()(torch.ones(1, 3))
    for fragment in replica.plan(num_workers=1):
        replica.write(fragment, replica.read(fragment) * 0)
    assert not model(torch.ones(1, 3)).any()


def _whole(tensor: Any) -> torch.Tensor:
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
