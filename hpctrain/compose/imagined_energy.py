"""Energy of workers that are imagined: watts while they compute, and watts while they do not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hpctrain.compose.energy_limits import EnergyLimits, gate_begins_ns, imagined_gate, limits_of
from hpctrain.core.gate import Gate
from hpctrain.errors import ConfigError
from hpctrain.metering.money import priced_in
from hpctrain.report.energy_line import energy_text
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
    """

    watts: float | None
    idle_watts: float
    limits: EnergyLimits
    begin_ns: int
    gate: Gate
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
        """For the run store: what each worker used, computing and not."""
        if self.watts is None:
            return
        utc_s = self.begin_ns / 1e9 + end_s
        for worker in range(num_workers):
            compute_s = self._uses.get(worker, _Use()).compute_s
            parts = (("compute", compute_s, self._joules(compute_s, compute_s)),
                     ("wait", end_s - compute_s, self._joules(0.0, end_s - compute_s)))  # fmt: skip
            for name, duration_s, joules in parts:
                yield worker, {
                    "scope": "phase", "name": name, "host": f"imagined-{worker}", "utc_s": utc_s,
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
        imagined_gate(config),
    )  # fmt: skip
