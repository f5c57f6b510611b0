"""The settings of a search: `[search]` and its tables."""

from typing import Annotated, Any, Literal

from pydantic import Field

from hpctrain.config.section import (
    Allowed,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Reference,
    Section,
    UnitFloat,
)

Matrix = Annotated[
    tuple[Annotated[tuple[NonNegativeInt, ...], Field(strict=False, min_length=1)], ...],
    Field(strict=False, min_length=1),
    Allowed("a list of lists of numbers of candidates such as [[0, 1], [1, 0]]"),
]


class SearchStopConfig(Section):
    """When a search ends; the first rule that is met wins."""

    evaluations: PositiveInt | None = None
    hours: PositiveFloat | None = None
    target: float | None = None
    patience: PositiveInt | None = None
    min_delta: NonNegativeFloat = 0.0
    cost: PositiveFloat | None = None


class MigrationConfig(Section):
    """What the islands of a search send to each other."""

    pattern: Literal["ring", "complete", "none"] | Matrix = "ring"
    probability: UnitFloat = 0.1
    moves: bool = False
    choice: Literal["best", "random"] = "best"


class FidelityConfig(Section):
    """Which candidates are ended early, by the values that they report on the way."""

    rule: Literal["none", "asha", "median"] = "none"
    first_step: PositiveInt = 1
    factor: Annotated[float, Field(gt=1)] = 3.0
    at_least: PositiveInt = 5


class SearchConfig(Section):
    """What is searched, by what, and for how long."""

    objective: Literal["train"] | Reference = "train"
    propagator: Annotated[str, Field(min_length=1)] = "auto"
    options: dict[str, Any] = Field(default_factory=dict)
    engine: Literal["hpctrain", "propulate"] = "hpctrain"
    islands: PositiveInt = 1
    ranks_per_worker: PositiveInt = 1
    objectives: PositiveInt = 1
    energy_objective: bool = False
    duplicates: Literal["reuse", "average", "reevaluate"] = "reuse"
    timeout_s: PositiveFloat | None = None
    patience_s: PositiveFloat = 60.0
    constraint: Reference | None = None
    initial: Annotated[tuple[dict[str, Any], ...], Field(strict=False)] = ()
    warm_start: Annotated[tuple[str, ...], Field(strict=False)] = ()
    space: dict[str, Any] = Field(default_factory=dict)
    stop: SearchStopConfig = SearchStopConfig()
    migration: MigrationConfig = MigrationConfig()
    fidelity: FidelityConfig = FidelityConfig()
