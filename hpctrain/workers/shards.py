"""Models that the user has wrapped: DDP, `torch.compile`, and the shards of FSDP2.

A sharded model's parameters, and the state of its optimizer, are DTensors. In a rank's part of a
checkpoint each is kept as the shard that this rank holds, with its mesh and its place in it: saving
needs no exchange, and a model that is sharded alike gets back the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hpctrain.errors import ConfigError, HpctrainError

SHARD = "hpctrain.shard"  # the key that marks a shard in a tree


def unwrapped(model: nn.Module) -> nn.Module:
    """The user's module inside DDP and `torch.compile`: its tensors have their own names."""
    while True:
        if isinstance(model, nn.parallel.DistributedDataParallel):
            model = model.module
        elif isinstance(inner := getattr(model, "_orig_mod", None), nn.Module):
            model = inner
        else:
            return model


def averages_by_itself(model: nn.Module) -> bool:
    """Does the model average its gradients over the ranks of the worker?"""
    return bool(_group_sizes(model))


def check_wrapping(model: nn.Module, num_ranks: int) -> None:
    """Refuse what would train something else than one model on `num_ranks` ranks.

    Raises:
        HpctrainError: for FSDP1, placements that we cannot write to, and groups of other ranks than
            those of the worker.
    """
    if any(type(module).__name__ == "FullyShardedDataParallel" for module in model.modules()):
        raise HpctrainError(
            "run.prepare() was given a model in FullyShardedDataParallel, which hides parameters "
            "in flat pieces; shard it by torch.distributed.fsdp.fully_shard (FSDP2)"
        )
    for size in _group_sizes(model):
        if size != num_ranks:
            raise HpctrainError(
                f"run.prepare() was given a model wrapped over {size} ranks, but this worker has "
                f"{num_ranks}; DDP and FSDP2 must join the ranks of a worker and no others, as "
                "run.init_process_group() does"
            )
    for name, tensor in model.named_parameters():
        if is_shard(tensor):
            _placements(name, tensor)


def is_shard(tensor: Any) -> bool:
    """Is it a DTensor?"""
    return isinstance(tensor, Tensor) and hasattr(tensor, "full_tensor")


def whole(tensor: Tensor) -> Tensor:
    """The tensor itself; of a shard all of it, which all ranks of its mesh must ask for at once."""
    full: Callable[[], Tensor] | None = getattr(tensor, "full_tensor", None)
    return full() if full is not None else tensor


def meshes_of(model: nn.Module) -> list[Any]:
    """The device meshes over which the parameters of `model` are sharded."""
    meshes: list[Any] = []
    for parameter in model.parameters():
        mesh = getattr(parameter, "device_mesh", None)
        if mesh is not None and mesh not in meshes:
            meshes.append(mesh)
    return meshes


def local_shards(tree: Any) -> Any:
    """`tree` with each DTensor replaced by what this rank holds of it; no communication."""
    if is_shard(tree):
        return {
            SHARD: tree.to_local().detach(),
            "mesh": tree.device_mesh.mesh.tolist(),
            "at": list(tree.device_mesh.get_coordinate()),
            "placements": _placements("a tensor of a checkpoint", tree),
            "shape": list(tree.shape),
            "stride": list(tree.stride()),
        }
    return _mapped(tree, local_shards)


def joined_shards(tree: Any, meshes: Sequence[Any]) -> Any:
    """The opposite of `local_shards`, for a model that is sharded over `meshes` (none: whole).

    Raises:
        ConfigError: if the model was not sharded then, or is not now, or over another mesh, or if
            this rank was at another place in it.
    """
    if meshes and not _holds_shards(tree):
        raise ConfigError(
            "the checkpoint was made by a model that was not sharded, but now it is; resume it as "
            "it was, or begin a new run from final.pt"
        )
    return _rejoined(tree, meshes)


def _group_sizes(model: nn.Module) -> list[int]:
    """Sizes of the groups over which `model` averages its gradients."""
    sizes = [mesh.size() for mesh in meshes_of(model)]
    for module in model.modules():
        if isinstance(module, nn.parallel.DistributedDataParallel):
            sizes.append(torch.distributed.get_world_size(module.process_group))
    return sizes


def _placements(name: str, tensor: Any) -> list[int | None]:
    """Per dimension of the mesh the dimension that is cut, None where it is not."""
    from torch.distributed.tensor import Replicate, Shard

    cuts: list[int | None] = []
    for placement in tensor.placements:
        if type(placement) is Shard:
            cuts.append(placement.dim)
        elif isinstance(placement, Replicate):
            cuts.append(None)
        else:
            raise HpctrainError(
                f"{name} is placed as {placement}; allowed are Shard and Replicate, as fully_shard "
                "makes them on a mesh of its own"
            )
    return cuts


def _rejoined(tree: Any, meshes: Sequence[Any]) -> Any:
    if isinstance(tree, Mapping) and SHARD in tree:
        return _joined(tree, meshes)
    return _mapped(tree, lambda item: _rejoined(item, meshes))


def _joined(saved: Mapping[str, Any], meshes: Iterable[Any]) -> Tensor:
    from torch.distributed.tensor import DTensor, Replicate, Shard

    for mesh in meshes:
        alike = mesh.mesh.tolist() == saved["mesh"]
        if alike and list(mesh.get_coordinate()) == list(saved["at"]):
            return DTensor.from_local(
                saved[SHARD].to(mesh.device_type),
                mesh,
                [Replicate() if dim is None else Shard(dim) for dim in saved["placements"]],
                run_check=False,
                shape=torch.Size(saved["shape"]),
                stride=tuple(saved["stride"]),
            )
    now = [mesh.mesh.tolist() for mesh in meshes]
    raise ConfigError(
        f"the checkpoint holds shards of the mesh {saved['mesh']}, made at {list(saved['at'])}, "
        f"but now the model's meshes are {now or 'none: it is not sharded'}; shard it as it was, "
        "or begin a new run from final.pt"
    )


def _mapped(tree: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(tree, Mapping):
        return {key: change(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [change(value) for value in tree]
    if isinstance(tree, tuple):
        return tuple(change(value) for value in tree)
    return tree


def _holds_shards(tree: Any) -> bool:
    if isinstance(tree, Mapping):
        return SHARD in tree or any(_holds_shards(value) for value in tree.values())
    return isinstance(tree, (list, tuple)) and any(_holds_shards(value) for value in tree)
