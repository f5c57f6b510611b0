"""Accelerators that a run left idle on its hosts: energy of GPUs that nobody used.

On hosts with processors and accelerators, leaving out the latter wastes more than their share of
the time (arXiv 2212.01698). A GPU is used if it belongs to a rank; a rank that has one and leaves
it idle is not seen here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hpctrain.report.energies.amount import Amount
from hpctrain.report.energies.hosts import HostUse
from hpctrain.report.energies.run import RunEnergy

HARDLY = 0.01  # of the GPUs' booked energy: less with the ranks is rounding, no use


@dataclass(frozen=True, slots=True)
class IdleGpus:
    """The GPUs of one host; `shared`: other jobs may have used them."""

    host: str
    devices: int
    amount: Amount
    shared: bool


def idle_gpus(run: RunEnergy) -> tuple[IdleGpus, ...]:
    """Of the hosts whose ranks used no GPU though there are some; none without a ledger."""
    found = (_idle(run, host) for host in run.hosts)
    return tuple(one for one in found if one is not None)


def _idle(run: RunEnergy, host: HostUse) -> IdleGpus | None:
    gpus = next((part for part in host.components if part.component == "gpu"), None)
    free = run.ledger.unattributed.get(host.host)
    phases = [one.amount for one in run.ledger.phases if one.host == host.host]
    if gpus is None or not gpus.amount.joules or free is None or not phases:
        return None
    used_j = sum(amount.components.get("gpu", 0.0) for amount in phases)
    idle_j = free.components.get("gpu", 0.0)
    if idle_j <= 0 or used_j > HARDLY * (used_j + idle_j):
        return None
    share = idle_j / gpus.amount.joules
    amount = replace(
        gpus.amount, joules=idle_j, low_j=share * (gpus.amount.low_j or 0.0),
        high_j=share * (gpus.amount.high_j or 0.0), components={"gpu": idle_j},
    )  # fmt: skip
    return IdleGpus(host.host, len(gpus.devices), amount, run.total.shared)
