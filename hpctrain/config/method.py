"""The settings of the training method: `[method]` and `[method.heloco]`."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from hpctrain.config.section import (
    Cosine,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    Section,
    UnitFloat,
)

MethodName = Literal["ddp", "diloco", "async_nesterov", "mla", "heloco"]

# Islands of these methods wait for each other in every round.
SYNCHRONOUS: frozenset[MethodName] = frozenset({"ddp", "diloco"})

# What is used for a key that was left out, by method. Asynchronous Nesterov applies the momentum
# at every single arrival, hence its small step.
DEFAULTS_BY_METHOD: Mapping[str, Mapping[str, Any]] = {
    "ddp": {"sync_every": 1, "outer_lr": 1.0, "outer_momentum": 0.0},
    "diloco": {"outer_lr": 0.7},
    "async_nesterov": {"outer_lr": 0.07},
    "mla": {"outer_lr": 0.7},
    "heloco": {"outer_lr": 0.7, "dispatch_lookahead": True},
}


class HelocoConfig(Section):
    """How HeLoCo corrects a late pseudo-gradient against the momentum it meets."""

    c_ok: Cosine = 0.2
    c_bad: Cosine = -0.2
    k_s: NonNegativeFloat = 0.5
    beta_max: UnitFloat = 0.5
    k_d: NonNegativeFloat = 1.0
    kappa: NonNegativeFloat = 3.0
    eps: PositiveFloat = 1e-8
    lambda_mode: Literal["linear_gap", "one_minus_cos"] = "linear_gap"
    scope: Literal["tensor", "whole"] = "tensor"
    weight_first: bool = False
    correction: bool = True


class MethodConfig(Section):
    """Which method trains, and how often and how strongly the islands share."""

    name: MethodName = "heloco"
    sync_every: PositiveInt = 50
    outer_lr: PositiveFloat = 0.7
    outer_momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    arrival_weight: Literal["base", "polynomial", "one"] = "base"
    overlap: bool = False
    num_fragments: Literal["auto"] | PositiveInt = "auto"
    buffers: Literal["average", "local"] = "average"
    dispatch_lookahead: bool = False
    heloco: HelocoConfig = HelocoConfig()

    @model_validator(mode="before")
    @classmethod
    def _fill_in_what_depends_on_the_name(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        name = values.get("name", cls.model_fields["name"].default)
        defaults = DEFAULTS_BY_METHOD.get(name, {}) if isinstance(name, str) else {}
        return {**defaults, **values}

    @property
    def is_synchronous(self) -> bool:
        return self.name in SYNCHRONOUS
