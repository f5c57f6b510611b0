"""What each host used, by component and device: sums of `energy_sample` rows.

So runs that were killed have them too, up to the last rows. Devices that are part of another (a
processor in a node) are shown and not added to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from hpctrain.metering.reading import COMPONENTS, Component, is_part
from hpctrain.report.energies.amount import Amount, grouped, numbers, together, trust
from hpctrain.report.tables import Table

LATE_S = 10.0  # hosts start and end at slightly different times
SILENT_S = 3.0  # a ledger is opened a little before or after the first look


@dataclass(frozen=True, slots=True)
class ComponentUse:
    """All devices of one kind on one host; `counted`: they are not part of another."""

    component: Component
    devices: tuple[str, ...]
    amount: Amount
    counted: bool


@dataclass(frozen=True, slots=True)
class HostUse:
    """One host: its components, and the sum of those that count."""

    host: str
    amount: Amount
    components: tuple[ComponentUse, ...]


def read_hosts(samples: Table, names: Iterable[str]) -> tuple[HostUse, ...]:
    """All hosts by name, also those that told nothing.

    Args:
        samples: the rows of kind `energy_sample`.
        names: of the hosts that are known to have been part of the run.
    """
    devices: dict[str, dict[str, dict[str, Amount]]] = {name: {} for name in names}
    for group in grouped(samples, "host", "component", "device"):
        host, component, device = map(str, group.key)
        devices.setdefault(host, {}).setdefault(component, {})[device] = group.amount
    return tuple(_host(host, devices[host]) for host in sorted(devices))


def of_whole_run(
    hosts: Iterable[HostUse], looked_s: Mapping[str, float], whole_s: float
) -> tuple[HostUse, ...]:
    """Hosts with coverage of the run's time, where they stopped telling before it ended.

    Args:
        hosts: with coverage of the time for which they have rows.
        looked_s: that time, by host.
        whole_s: the time for which any host has rows.
    """
    return tuple(
        _of_whole(host, looked_s[host.host] / whole_s)
        if whole_s - looked_s.get(host.host, whole_s) > LATE_S
        else host
        for host in hosts
    )


def as_booked(hosts: Iterable[HostUse], ledger: Table) -> tuple[HostUse, ...]:
    """Hosts with the coverage that the ledger knows: a sensor that fell silent has no rows.

    Args:
        hosts: with coverage of the time for which they have rows.
        ledger: the rows of kind `energy`.
    """
    known = np.nan_to_num(numbers(ledger, "coverage")) * numbers(ledger, "duration_s")
    shares = {}
    for host in hosts:
        mine = (ledger["scope"] == "host") & (ledger["host"] == host.host)
        whole_s, known_s = numbers(ledger, "duration_s")[mine].sum(), known[mine].sum()
        if whole_s - known_s > SILENT_S:
            shares[host.host] = float(known_s / whole_s)
    return tuple(
        _covered(host, min(host.amount.coverage, shares[host.host]))
        if host.host in shares
        else host
        for host in hosts
    )


def _of_whole(host: HostUse, share: float) -> HostUse:
    return _covered(host, host.amount.coverage * share)


def _covered(host: HostUse, coverage: float) -> HostUse:
    amount = host.amount
    if amount.joules is None:
        return host
    parts = tuple(replace(part, amount=_at_most(part.amount, coverage)) for part in host.components)
    return replace(host, amount=_at_most(amount, coverage), components=parts)


def _at_most(amount: Amount, coverage: float) -> Amount:
    if amount.joules is None:
        return amount
    coverage = min(amount.coverage, coverage)
    quality = trust(coverage, amount.quality == "estimate")
    return replace(amount, coverage=coverage, quality=quality)


def by_component(hosts: Iterable[HostUse]) -> tuple[tuple[Component, int, Amount, bool], ...]:
    """Over all hosts: component, number of devices, what they used, whether all are counted."""
    parts = [part for host in hosts for part in host.components]
    found = []
    for component in COMPONENTS:
        mine = [part for part in parts if part.component == component]
        if mine:
            watts = sum(part.amount.watts or 0.0 for part in mine) or None
            amount = together([part.amount for part in mine], watts=watts)
            devices = sum(len(part.devices) for part in mine)
            found.append((component, devices, amount, any(part.counted for part in mine)))
    return tuple(found)


def _host(host: str, components: dict[str, dict[str, Amount]]) -> HostUse:
    present = [component for component in COMPONENTS if component in components]
    parts = tuple(
        _component(name, components[name], not is_part(name, present)) for name in present
    )
    counted = [part for part in parts if part.counted]
    return HostUse(host, _total(counted), parts)


def _component(name: Component, devices: dict[str, Amount], counted: bool) -> ComponentUse:
    """Devices run side by side: their powers add up, their time does not."""
    amounts = list(devices.values())
    seconds = sum(amount.seconds for amount in amounts) / len(amounts)
    told = [amount.watts for amount in amounts if amount.watts is not None]
    amount = together(amounts, seconds, sum(told) if told else None)
    return ComponentUse(name, tuple(sorted(devices)), amount, counted)


def _total(counted: list[ComponentUse]) -> Amount:
    if not counted:
        return Amount()
    amounts = [part.amount for part in counted]
    seconds = max(amount.seconds for amount in amounts)
    told = [amount.watts for amount in amounts if amount.watts is not None]
    total = together(amounts, seconds, sum(told) if told else None)
    if total.joules is None:
        return total
    coverage = min(amount.coverage for amount in amounts if amount.joules is not None)
    quality = trust(coverage, total.quality == "estimate")
    components: dict[str, float] = {p.component: p.amount.known_j for p in counted}
    whole = len([a for a in amounts if a.joules is not None]) == len(amounts)
    quality = quality if whole or quality == "estimate" else "partial"
    return replace(total, coverage=coverage, quality=quality, components=components)
