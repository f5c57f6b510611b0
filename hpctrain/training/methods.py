"""The methods by name: which rule, on every arrival or on the mean of all, with which defaults."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from hpctrain.training.domains import Domains
from hpctrain.training.guard import Guard
from hpctrain.training.local_steps import LocalSteps
from hpctrain.training.rules.age_adam import AgeAdam
from hpctrain.training.rules.async_sgd import AsyncSgd
from hpctrain.training.rules.averaging import GradientMean, RunningAverage
from hpctrain.training.rules.co2 import Co2
from hpctrain.training.rules.conventions import Convention
from hpctrain.training.rules.delayed_nesterov import DelayedNesterov
from hpctrain.training.rules.fedbuff import Buffered
from hpctrain.training.rules.heloco import Correction, HeLoCo
from hpctrain.training.rules.means import Mean, mean, radial_directional
from hpctrain.training.rules.mla import MomentumLookAhead
from hpctrain.training.rules.nesterov import Nesterov
from hpctrain.training.rules.partial import PartialNesterov
from hpctrain.training.rules.rule import KnowsNumWorkers, OuterRule
from hpctrain.training.weights import ArrivalWeight, Weighing

MethodName = Literal[
    "ddp",
    "diloco",
    "co2",
    "rda",
    "async_nesterov",
    "async_sgd",
    "delayed_nesterov",
    "fedbuff",
    "mla",
    "heloco",
    "age_adam",
    "galoco",
]
Group = Literal["each", "mean"]

SYNCHRONOUS: frozenset[MethodName] = frozenset({"ddp", "diloco", "co2", "rda"})

DEFAULT_OUTER_LR: dict[MethodName, float] = {
    "ddp": 1.0,
    "diloco": 0.7,
    "co2": 0.5,
    "rda": 0.7,
    "async_nesterov": 0.07,
    "async_sgd": 1.0,
    "delayed_nesterov": 0.7,
    "fedbuff": 0.7,
    "mla": 0.7,
    "heloco": 0.7,
    "age_adam": 0.1,
    "galoco": 0.3,
}
DEFAULT_OUTER_MOMENTUM: dict[MethodName, float] = {"ddp": 0.0, "async_sgd": 0.0, "co2": 0.5}

# These average their arrivals by themselves, or do not see how long one is.
DEFAULT_WEIGHING: dict[MethodName, Weighing] = {
    "delayed_nesterov": Weighing("one"),
    "fedbuff": Weighing("one"),
    "age_adam": Weighing("one"),
    "galoco": Weighing("token_weighted", token_power=0.25),  # of a group's mean
}

CONVENTIONS: dict[MethodName, Convention] = {
    "diloco": "sum",
    "rda": "sum",
    "async_nesterov": "sum",
    "delayed_nesterov": "sum",
    "fedbuff": "sum",
    "mla": "ema",
    "heloco": "ema",
    "galoco": "sum",
}


@dataclass(frozen=True, slots=True)
class Waiting:
    """Whom a home waits for before it answers.

    Attributes:
        grace_s: asynchronous: who arrives within so many seconds is answered together.
            Synchronous, with a quorum: how long it waits for more when the quorum is there.
            None: half of a round, of methods whose rounds end by the clock.
        group: what arrives within the grace is merged one by one, or as one mean.
        quorum: of a synchronous round: a number of workers, or (float) a part of them all; None:
            all.
    """

    grace_s: float | None = 0.0
    group: Group = "each"
    quorum: int | float | None = None


BY_NUMBER = Weighing()
NOBODY = Waiting()
FIXED = LocalSteps()
UNGUARDED = Guard()
BOUND = Domains()


@dataclass(frozen=True, slots=True)
class Method:
    """A training method: everything about it that is not the model, the data or the machine.

    Attributes:
        name: for reports.
        rule: the outer rule for parameters.
        sync_every: inner steps per round, H.
        synchronous: a home waits for all workers and applies the rule to their mean.
        gradients: workers push the gradient of each step instead of a pseudo-gradient (`ddp`).
        overlap: the next round starts before the answers to the last one are here.
        weighing: rho of an asynchronous arrival.
        delay: rounds that the merged parameters are late (`co2`): a round starts from the mean of
            those before the last one, whose exchange it hides.
        mean: how the pushes of a synchronous round, or of a group, become one.
        waiting: for whom a home waits.
        local_steps: inner steps of a round, by worker.
        guard: refuses what is too long.
        diagnostics: note the correction of every tensor.
        domains: whether workers change what they train on.
    """

    name: MethodName
    rule: OuterRule
    sync_every: int
    synchronous: bool
    gradients: bool = False
    overlap: bool = False
    weighing: Weighing = BY_NUMBER
    delay: int = 0
    mean: Mean = mean
    waiting: Waiting = NOBODY
    local_steps: LocalSteps = FIXED
    guard: Guard = UNGUARDED
    diagnostics: bool = False
    domains: Domains = BOUND

    def for_workers(self, num_workers: int) -> Method:
        """The same method with nothing left open in its rule."""
        if not isinstance(self.rule, KnowsNumWorkers):
            return self
        return replace(self, rule=self.rule.for_workers(num_workers))

    @property
    def in_parts(self) -> bool:
        """Does a group of some workers make a part of an outer step?"""
        return self.name == "galoco"

    @property
    def asks_speeds(self) -> bool:
        """Must all homes know how fast workers are, and not that of fragment 0 alone?"""
        return self.in_parts or self.local_steps.by_clock or self.waiting.grace_s is None

    def buffer_rule(self) -> tuple[OuterRule, bool]:
        """The rule for buffers, and whether it wants 1/K as its weight."""
        return RunningAverage(), not self.synchronous


def make_method(
    name: MethodName,
    *,
    sync_every: int,
    outer_lr: float | None = None,
    outer_momentum: float | None = None,
    overlap: bool = False,
    arrival_weight: ArrivalWeight | None = None,
    weighing: Weighing | None = None,
    dispatch_lookahead: bool | None = None,
    correction: Correction | None = None,
    corrected: bool = True,
    whole_fragment: bool = False,
    buffer_size: int = 0,
    momentum_share: float = 0.0,
    co2: Co2 | None = None,
    age_adam: AgeAdam | None = None,
    waiting: Waiting = NOBODY,
    local_steps: LocalSteps = FIXED,
    guard: Guard = UNGUARDED,
    diagnostics: bool = False,
    domains: Domains = BOUND,
    directional: bool = False,
) -> Method:
    """The method called `name`; what is None takes the default of its paper.

    `buffer_size` 0 is the number of workers. Of `co2` and `age_adam` all but learning rate and
    momentum is used. `weighing` comes before `arrival_weight`.
    """
    lr = DEFAULT_OUTER_LR[name] if outer_lr is None else outer_lr
    mu = DEFAULT_OUTER_MOMENTUM.get(name, 0.9) if outer_momentum is None else outer_momentum
    if weighing is None:
        default = DEFAULT_WEIGHING.get(name, BY_NUMBER)
        weighing = default if arrival_weight is None else Weighing(arrival_weight)
    rule: OuterRule
    match name:
        case "ddp":
            return Method(name, GradientMean(), 1, synchronous=True, gradients=True)
        case "diloco" | "rda" | "async_nesterov":
            rule = Nesterov(lr, mu)
        case "galoco":
            rule = PartialNesterov(lr, mu)
        case "co2":
            rule = replace(co2 or Co2(lr, mu), lr=lr, mu=mu)
        case "async_sgd":
            rule = AsyncSgd(lr)
        case "delayed_nesterov":
            rule = DelayedNesterov(lr, mu, buffer_size, momentum_share)
        case "fedbuff":
            rule = Buffered(lr, mu, buffer_size)
        case "age_adam":
            rule = replace(age_adam or AgeAdam(lr, mu), lr=lr, mu=mu)
        case "mla":
            rule = MomentumLookAhead(lr, mu, bool(dispatch_lookahead))
        case "heloco":
            rule = HeLoCo(
                lr,
                mu,
                (correction or Correction()) if corrected else None,
                whole_fragment,
                dispatch_lookahead is not False,
                diagnostics,
            )
    return Method(
        name,
        rule,
        sync_every,
        name in SYNCHRONOUS,
        overlap=overlap and name not in SYNCHRONOUS,
        weighing=weighing,
        delay=1 if name == "co2" else 0,
        mean=radial_directional if name == "rda" or directional else mean,
        waiting=waiting,
        local_steps=local_steps,
        guard=guard,
        diagnostics=diagnostics,
        domains=domains,
    )
