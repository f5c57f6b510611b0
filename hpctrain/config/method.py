"""The settings of the training method: `[method]`, and what single methods have of their own."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from hpctrain.config.section import (
    Allowed,
    Cosine,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    Section,
    UnitFloat,
)

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
ArrivalWeight = Literal["base", "polynomial", "one", "rate_corrected", "token_weighted"]

# Islands of these methods wait for each other in every round.
SYNCHRONOUS: frozenset[MethodName] = frozenset({"ddp", "diloco", "co2", "rda"})

# These collect arrivals in a buffer of their own.
BUFFERED: frozenset[MethodName] = frozenset({"delayed_nesterov", "fedbuff"})

# What is used for a key that was left out, by method. Asynchronous Nesterov applies the momentum
# at every single arrival, hence its small step. Who buffers takes a mean: arrivals weigh 1.
DEFAULTS_BY_METHOD: Mapping[str, Mapping[str, Any]] = {
    "ddp": {"sync_every": 1, "outer_lr": 1.0, "outer_momentum": 0.0},
    "diloco": {"outer_lr": 0.7},
    "co2": {"outer_lr": 0.5, "outer_momentum": 0.5},
    "rda": {"outer_lr": 0.7},
    "async_nesterov": {"outer_lr": 0.07},
    "async_sgd": {"outer_lr": 1.0, "outer_momentum": 0.0},
    "delayed_nesterov": {"outer_lr": 0.7, "arrival_weight": "one"},
    "fedbuff": {"outer_lr": 0.7, "arrival_weight": "one"},
    "mla": {"outer_lr": 0.7},
    "heloco": {"outer_lr": 0.7, "dispatch_lookahead": True},
    "age_adam": {"outer_lr": 0.1, "arrival_weight": "one"},
    "galoco": {
        "outer_lr": 0.3,
        "arrival_weight": "token_weighted",
        "token_power": 0.25,
        "mean": "rda",
        "overlap": True,
        "local_steps": "clock",
        "grace_s": "auto",
        "group": "mean",
    },
}

Quorum = Annotated[
    PositiveInt | Annotated[float, Field(gt=0, le=1)],
    Allowed("a number of workers of at least 1, or a part of them above 0 up to 1.0"),
]


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


class Co2Config(Section):
    """The outer step of CO2."""

    gap_penalty: Annotated[float, Field(ge=1)] = 1.0
    clip_threshold: PositiveFloat | None = None


class AgeAdamConfig(Section):
    """How the age-gated outer Adam hears old pseudo-gradients; ages are in versions."""

    alpha: NonNegativeFloat = 0.02
    cutoff: Literal["auto"] | PositiveFloat = "auto"
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.99
    eps: PositiveFloat = 0.1


class MethodConfig(Section):
    """Which method trains, and how often and how strongly the islands share."""

    name: MethodName = "galoco"
    sync_every: PositiveInt = 50
    outer_lr: PositiveFloat = 0.7
    outer_momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    arrival_weight: ArrivalWeight = "base"
    staleness_power: NonNegativeFloat = 0.5
    token_power: Annotated[float, Field(ge=-2, le=2)] = 1.0
    weight_cap: Annotated[float, Field(ge=1)] = 10.0
    shares: Annotated[tuple[PositiveFloat, ...], Field(strict=False)] = ()
    overlap: bool = False
    num_fragments: Literal["auto"] | PositiveInt = "auto"
    buffers: Literal["average", "local"] = "average"
    dispatch_lookahead: bool = False
    buffer_size: Literal["auto"] | PositiveInt = "auto"
    momentum_share: UnitFloat = 0.0
    grace_s: Literal["auto"] | NonNegativeFloat = 0.0
    group: Literal["each", "mean"] = "each"
    quorum: Quorum | None = None
    local_steps: Literal["fixed", "dylu", "groups", "clock"] = "fixed"
    min_steps: Literal["auto"] | PositiveInt = "auto"
    local_steps_mean: bool = False
    speed_reference: Literal["max", "p90"] = "max"
    domains: Literal["bound", "least_visited"] = "bound"
    guard_factor: NonNegativeFloat = 100.0
    diagnostics: bool = False
    mean: Literal["plain", "rda"] = "plain"
    heloco: HelocoConfig = HelocoConfig()
    co2: Co2Config = Co2Config()
    age_adam: AgeAdamConfig = AgeAdamConfig()

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

    def default(self, key: str) -> Any:
        """The value that `key` has with this method if it is left out."""
        return DEFAULTS_BY_METHOD[self.name].get(key, type(self).model_fields[key].default)
