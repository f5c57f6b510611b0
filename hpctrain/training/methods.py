"""The methods by name: which rule, on every arrival or on the mean of all, with which defaults."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from hpctrain.training.rules.averaging import GradientMean, RunningAverage
from hpctrain.training.rules.heloco import Correction, HeLoCo
from hpctrain.training.rules.mla import MomentumLookAhead
from hpctrain.training.rules.nesterov import Nesterov
from hpctrain.training.rules.rule import OuterRule

MethodName = Literal["ddp", "diloco", "async_nesterov", "mla", "heloco"]
ArrivalWeight = Literal["base", "polynomial", "one"]

DEFAULT_OUTER_LR = {"ddp": 1.0, "diloco": 0.7, "async_nesterov": 0.07, "mla": 0.7, "heloco": 0.7}


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
        arrival_weight: rho of an asynchronous arrival among K workers: `base` 1/sqrt(K),
            `polynomial` 1/sqrt(K (1 + staleness)) (arXiv 2401.09135, section 3), `one` 1.
    """

    name: MethodName
    rule: OuterRule
    sync_every: int
    synchronous: bool
    gradients: bool = False
    overlap: bool = False
    arrival_weight: ArrivalWeight = "base"

    def weight(self, num_workers: int, staleness: int) -> float:
        """The weight of one arrival; 1 for synchronous methods, whose rule gets a mean."""
        if self.synchronous or self.arrival_weight == "one":
            return 1.0
        if self.arrival_weight == "polynomial":
            return 1.0 / math.sqrt(num_workers * (1 + staleness))
        return 1.0 / math.sqrt(num_workers)

    def buffer_rule(self) -> tuple[OuterRule, bool]:
        """The rule for buffers, and whether it wants 1/K as its weight."""
        return RunningAverage(), not self.synchronous


def make_method(
    name: MethodName,
    *,
    sync_every: int,
    outer_lr: float | None = None,
    outer_momentum: float = 0.9,
    overlap: bool = False,
    arrival_weight: ArrivalWeight = "base",
    dispatch_lookahead: bool | None = None,
    correction: Correction | None = None,
    corrected: bool = True,
    whole_fragment: bool = False,
) -> Method:
    """The method called `name`; what is None takes the default of its paper."""
    lr = DEFAULT_OUTER_LR[name] if outer_lr is None else outer_lr
    rule: OuterRule
    match name:
        case "ddp":
            return Method(name, GradientMean(), 1, synchronous=True, gradients=True)
        case "diloco":
            return Method(name, Nesterov(lr, outer_momentum), sync_every, synchronous=True)
        case "async_nesterov":
            rule = Nesterov(lr, outer_momentum)
        case "mla":
            rule = MomentumLookAhead(lr, outer_momentum, bool(dispatch_lookahead))
        case "heloco":
            rule = HeLoCo(
                lr,
                outer_momentum,
                (correction or Correction()) if corrected else None,
                whole_fragment,
                dispatch_lookahead is not False,
            )
    return Method(name, rule, sync_every, False, overlap=overlap, arrival_weight=arrival_weight)
