"""A user's script whose model is wrapped over the ranks of a worker, for several cases in one job.

wrapped.py FOLDER ISLANDS [resume] [slow] [cuda] CASE...

A case is WRAPPING-METHOD, WRAPPING none, ddp or fsdp.
Every rank leaves what it saw in FOLDER/CASE.RANK.pt: its model, and what the model answers.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset

import hpctrain as ht

FLAGS = ("resume", "slow", "cuda")


def data() -> DataLoader[Any]:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(960, 7, generator=generator)
    return DataLoader(TensorDataset(x, x[:, :1] * 2 - x[:, 1:2]), batch_size=8, shuffle=True)


def network(wrapping: str, device: str) -> nn.Module:
    """Of odd sizes, so that shards are unequal."""
    model = nn.Sequential(nn.Linear(7, 9), nn.Tanh(), nn.Linear(9, 5), nn.Linear(5, 1))
    model = model.to(device)
    if wrapping == "ddp":
        return DistributedDataParallel(model)
    if wrapping == "fsdp":
        fully_shard(model[0])
        fully_shard(model)
    return model


def whole(tensor: Tensor) -> Tensor:
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor.clone()


def train(folder: Path, islands: int, case: str, flags: list[str]) -> None:
    wrapping, method, *_ = case.split("-")
    run = ht.init(
        method=method, sync_every=1 if method == "ddp" else 5, islands=islands, show="none",
        run_dir=str(folder / case), resume="resume" in flags,
        device="cuda" if "cuda" in flags else "cpu",
    )  # fmt: skip
    if wrapping != "none" and not torch.distributed.is_initialized():
        run.init_process_group()
    # fully_shard keeps each rank's own values of its shard: the ranks of a worker must start alike.
    torch.random.manual_seed(run.worker if wrapping == "fsdp" else run.rank)
    model = network(wrapping, run.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    model, optimizer, loader = run.prepare(model, optimizer, data())
    for _ in range(3):
        for x, y in loader:
            optimizer.zero_grad()
            nn.functional.mse_loss(model(x.to(run.device)), y.to(run.device)).backward()
            optimizer.step()
            if "slow" in flags:
                time.sleep(0.02)
    with torch.no_grad():
        model(
            torch.ones(2, 7, device=run.device)
        )  # gathers a sharded model, and may leave it gathered
    run.finish()
    with torch.no_grad():
        answer = model(torch.ones(1, 7, device=run.device)).cpu()
    inner = model.module if wrapping == "ddp" else model
    parameters = {name: whole(p.detach()).cpu() for name, p in inner.named_parameters()}
    torch.save({"model": parameters, "answer": answer}, folder / f"{case}.{run.rank}.pt")


def main() -> None:
    folder, islands, *words = sys.argv[1:]
    flags = [word for word in words if word in FLAGS]
    for case in (word for word in words if word not in FLAGS):
        train(Path(folder), int(islands), case, flags)


if __name__ == "__main__":
    main()
