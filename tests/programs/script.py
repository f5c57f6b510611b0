"""A user's script with all the trimmings: accumulation, GradScaler, DataLoader workers, schedulers.

script.py RUN_DIR [resume] [slow]
"""

from __future__ import annotations

import sys
import time

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import hpctrain as ht

run_dir, *flags = sys.argv[1:]
run = ht.init(method="diloco", sync_every=5, run_dir=run_dir, resume="resume" in flags, show="none")

generator = torch.Generator().manual_seed(3)
x = torch.randn(512, 8, generator=generator)
loader = DataLoader(TensorDataset(x, x[:, :1] * 2), batch_size=8, shuffle=True, num_workers=1)
torch.random.manual_seed(11)
model = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.Dropout(0.1), nn.Linear(16, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, total_iters=60)
scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
model, optimizer, loader, scheduler, scaler = run.prepare(
    model, optimizer, loader, scheduler, scaler
)

for epoch in range(4):
    for number, (inputs, targets) in enumerate(loader):
        with torch.autocast("cpu", torch.bfloat16):
            loss = nn.functional.mse_loss(model(inputs), targets)
        scaler.scale(loss / 2).backward()
        if number % 2:  # two batches make a step
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
            scheduler.step()
        if "slow" in flags:
            time.sleep(0.02)
    run.report(epoch=epoch, note="an epoch")
run.finish()
print("finished", sum(p.double().sum().item() for p in model.parameters()), flush=True)
