"""A plain torch script with four lines of hpctrain: a small network on images that it makes.

python examples/digits.py                               # one worker, no MPI
hpctrain launch -n 4 examples/digits.py                 # four islands on this machine
srun python examples/digits.py                          # on a cluster
"""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import hpctrain as ht

run = ht.init(method="heloco", sync_every=20, run_dir="runs/digits")

generator = torch.Generator().manual_seed(0)
prototypes = torch.randn(10, 64, generator=generator)
labels = torch.randint(10, (8192,), generator=generator)
images = prototypes[labels] + 2.0 * torch.randn(8192, 64, generator=generator)
loader = DataLoader(TensorDataset(images, labels), batch_size=64, shuffle=True)

model = nn.Sequential(nn.Linear(64, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Linear(128, 10))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=8)
model, optimizer, loader, scheduler = run.prepare(model, optimizer, loader, scheduler)

for epoch in range(8):
    total = 0.0
    for x, y in loader:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        total += loss.item()
    scheduler.step()
    run.report(epoch=epoch, loss=total / len(loader))
