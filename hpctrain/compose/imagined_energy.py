"""Energy of workers that are imagined: watts while they compute, and watts while they do not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpctrain.compose.energy_limits import EnergyLimits, gate_begins_ns, imagined_gate, limits_of
from hpctrain.core.gate import Gate
from hpctrain.errors import ConfigError
from hpctrain.metering.money import priced_in
from hpctrain.report.energy_line import energy_text
from hpctrain.storage.layout import RunLayout
from hpctrain.storage.read import open_run
from hpctrain.storage.runs import is_run
from hpctrain.training.home import EnergyBudget

if TYPE_CHECKING:
    from hpctrain.config import RunConfig

J_PER_KWH = 3.6e6


@dataclass(slots=True)
class _Use:
    """Of one worker, until its last round ended."""

    until_s: float = 0.0
    compute_s: float = 0.0


@dataclass
class ImaginedEnergy:
    """What the workers of a simulation use.

    Attributes:
        watts, idle_watts: of a worker; None: energy is not imagined.
        limits: budget, and what energy is counted in.
        begin_ns: nanoseconds since 1970 at the zero of virtual time.
        gate: when it pauses.
        booked: seconds and joules that earlier parts of the run have noted, by host and phase.
    """

    watts: float | None
    idle_watts: float
    limits: EnergyLimits
    begin_ns: int
    gate: Gate
    booked: Mapping[tuple[str, str], tuple[float, float]] = field(default_factory=dict)
    _uses: dict[int, _Use] = field(default_factory=dict)

    @property
    def budget(self) -> EnergyBudget | None:
        return self.limits.budget

    def spend(self, worker: int, compute_s: float, now_s: float) -> float:
        """Since the worker's last call, in the unit of the budget."""
        use = self._uses.setdefault(worker, _Use())
        since_s, use.until_s = use.until_s, now_s
        use.compute_s += compute_s
        if self.watts is None:
            return 0.0
        joules = self._joules(compute_s, now_s - since_s)
        steps, factor = priced_in(self.limits.terms, self.limits.unit)
        begin, end = (self.begin_ns + round(at_s * 1e9) for at_s in (since_s, now_s))
        return factor * joules / J_PER_KWH * (1.0 if steps is None else steps.mean(begin, end))

    def resume(self, worker: int, until_s: float, waited_s: float) -> None:
        """Go on from a checkpoint: what the worker did until its last round ended."""
        self._uses[worker] = _Use(until_s, until_s - waited_s)

    def line(self, end_s: float, num_workers: int) -> str:
        """For the summary; "" if nothing is imagined."""
        if self.watts is None:
            return ""
        compute_s = sum(use.compute_s for use in self._uses.values())
        joules = self._joules(compute_s, end_s * num_workers)
        text = f"Energy: {energy_text(joules)}, imagined: {self.watts:g} W per worker"
        return f"{text}, {self.idle_watts:g} W while it waits"

    def rows(self, end_s: float, num_workers: int) -> Iterator[tuple[int, dict[str, Any]]]:
        """For the run store: what each worker used in this part of the run, computing and not."""
        if self.watts is None:
            return
        utc_s = self.begin_ns / 1e9 + end_s
        for worker in range(num_workers):
            compute_s = self._uses.get(worker, _Use()).compute_s
            parts = (("compute", compute_s, self._joules(compute_s, compute_s)),
                     ("wait", end_s - compute_s, self._joules(0.0, end_s - compute_s)))  # fmt: skip
            for name, total_s, total_j in parts:
                host = f"imagined-{worker}"
                before_s, before_j = self.booked.get((host, name), (0.0, 0.0))
                duration_s, joules = max(0.0, total_s - before_s), max(0.0, total_j - before_j)
                yield worker, {
                    "scope": "phase", "name": name, "host": host, "utc_s": utc_s,
                    "duration_s": duration_s, "joules": joules, "low_j": joules, "high_j": joules,
                    "node_j": joules, "coverage": 1.0, "quality": "estimate", "shared": False,
                }  # fmt: skip

    def _joules(self, compute_s: float, whole_s: float) -> float:
        assert self.watts is not None
        return self.watts * compute_s + self.idle_watts * max(0.0, whole_s - compute_s)


def imagined_energy(config: RunConfig) -> ImaginedEnergy:
    """As the settings say.

    Raises:
        HpctrainError: if a series cannot be used, or a budget is given without `simulate.watts`.
    """
    limits = limits_of(config)
    simulate = config.simulate
    if limits.limit is not None and simulate.watts is None:
        raise ConfigError(
            f"{config.source}: energy: a budget means nothing to a simulation without "
            "simulate.watts: watts of a worker that computes"
        )
    return ImaginedEnergy(
        simulate.watts, simulate.idle_watts, limits, gate_begins_ns(config, limits.terms),
        imagined_gate(config), _booked(config),
    )  # fmt: skip


def _booked(config: RunConfig) -> dict[tuple[str, str], tuple[float, float]]:
    run_dir, found = Path(config.run_dir), dict[tuple[str, str], tuple[float, float]]()
    if not config.checkpoint.resume or not is_run(RunLayout(run_dir)):
        return found
    rows = open_run(run_dir).table("energy")
    columns = (rows[name] for name in ("host", "name", "duration_s", "joules"))
    for host, name, duration_s, joules in zip(*columns, strict=True):
        key = (str(host), str(name))
        before_s, before_j = found.get(key, (0.0, 0.0))
        found[key] = before_s + float(duration_s), before_j + float(joules)
    return found
