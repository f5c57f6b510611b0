"""All sections of `run.toml` but the method, and the whole of it: `RunConfig`.

A field's type says all that is allowed for it alone; what does not go together is in `rules.py`.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr

from hpctrain.config.energy import EnergyConfig
from hpctrain.config.method import MethodConfig
from hpctrain.config.search import SearchConfig
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

Name = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$"),
    Allowed("letters, digits, dots, dashes and underscores, beginning with a letter or digit"),
]
# TOML has lists; a frozen section keeps tuples.
RankLists = Annotated[
    tuple[Annotated[tuple[NonNegativeInt, ...], Field(strict=False, min_length=1)], ...],
    Field(strict=False, min_length=1),
    Allowed("a list of lists of ranks such as [[0, 1], [2, 3]]"),
]
Moment = Annotated[
    str,
    Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?(Z|\+00:00)$"),
    Allowed("a time in UTC such as 2026-01-31T17:00:00Z"),
]
Signal = Literal["TERM", "USR1", "USR2", "INT"]


class TaskConfig(Section):
    """What is trained: a callable that makes the task, and what it is given."""

    factory: Reference = "hpctrain.workloads.bytelm:task"
    options: dict[str, Any] = Field(default_factory=dict)


class TopologyConfig(Section):
    """How the ranks form workers and islands."""

    islands: Literal["auto", "rank", "host", "switch", "gpu"] | PositiveInt | RankLists = "auto"
    ranks_per_worker: Literal["all"] | PositiveInt = "all"
    names: Annotated[tuple[Name, ...], Field(strict=False)] = ()
    data: Literal["shard", "own"] = "shard"


class StopConfig(Section):
    """When the run ends; `steps` are inner steps of all islands, `gigabytes` what they exchange."""

    steps: PositiveInt | None = None
    minutes: PositiveFloat | None = None
    gigabytes: PositiveFloat | None = None

    @property
    def is_given(self) -> bool:
        """Does the run end by itself?"""
        return (self.steps, self.minutes, self.gigabytes) != (None, None, None)


class CheckpointConfig(Section):
    """When the state is saved; `every_minutes = 0` saves only on a stop and at the end."""

    every_minutes: NonNegativeFloat = 10.0
    keep: PositiveInt = 2
    resume: bool = False
    signals: Annotated[tuple[Signal, ...], Field(strict=False)] = ("TERM", "USR1")
    margin_s: NonNegativeFloat = 60.0


class EvaluateConfig(Section):
    """How often the held-out loss is measured; 0 measures it only at the end."""

    every_rounds: NonNegativeInt = 1


class PaceConfig(Section):
    """Emulated speeds, one factor for each island (tests and demonstrations only)."""

    factors: Annotated[tuple[Annotated[float, Field(ge=1)], ...], Field(strict=False)] = ()
    step_s: NonNegativeFloat = 0.0


class RuntimeConfig(Section):
    """Threads, devices, precision, and what is recorded for a replay."""

    service_thread: Literal["auto"] | bool = "auto"
    record: Literal["off", "order", "full"] = "off"
    follow: Annotated[str, Field(min_length=1), Allowed("the path of a run directory")] | None = (
        None
    )
    threads_per_rank: Literal["auto"] | PositiveInt = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    amp: Literal["off", "bfloat16", "float16"] = "off"


class ProgressConfig(Section):
    """What is shown while the run goes on."""

    show: Literal["auto", "live", "plain", "none"] = "auto"


class SimulateConfig(Section):
    """The machine that a simulation imagines; `step_s` is seconds per inner step."""

    workers: PositiveInt | None = None
    step_s: (
        PositiveFloat | Annotated[tuple[PositiveFloat, ...], Field(strict=False, min_length=1)]
    ) = 0.01
    jitter: UnitFloat = 0.0
    latency_s: NonNegativeFloat = 1e-4
    bandwidth_bytes_per_s: PositiveFloat = 1e9
    merge_bytes_per_s: PositiveFloat = 4e9
    work: Literal["train", "timing"] = "train"
    start_utc: Moment | None = None
    watts: NonNegativeFloat | None = None
    idle_watts: NonNegativeFloat = 0.0


class RunConfig(Section):
    """All settings of a run, complete: nothing is left to be defaulted later."""

    name: Name = "run"
    run_dir: Annotated[str, Field(min_length=1), Allowed("the path of a directory")] = "runs/run"
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0
    task: TaskConfig = TaskConfig()
    topology: TopologyConfig = TopologyConfig()
    method: MethodConfig = MethodConfig.model_validate({})  # completed by the method's defaults
    stop: StopConfig = StopConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    pace: PaceConfig = PaceConfig()
    runtime: RuntimeConfig = RuntimeConfig()
    progress: ProgressConfig = ProgressConfig()
    energy: EnergyConfig = EnergyConfig()
    simulate: SimulateConfig = SimulateConfig()
    search: SearchConfig = SearchConfig()

    _source: str = PrivateAttr(default="settings")

    @property
    def source(self) -> str:
        """Where the settings came from, as errors name it: a path, or the call."""
        return self._source

    def named_source(self, source: str) -> "RunConfig":
        """The same settings, said to come from `source`."""
        copy = self.model_copy()
        copy._source = source
        return copy
