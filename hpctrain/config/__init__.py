"""What a run is told: the settings of `run.toml`, checked before anything starts.

    config = load_config("run.toml", overrides=["method.sync_every=20"])
    config = config_from_keywords(method="heloco", sync_every=50, islands=4)

Every setting that is not allowed becomes one line of a `ConfigError`, which names the file, the
key, the value, what is allowed, and if known the way out.
"""

from hpctrain.config.load import build_config, config_from_keywords, load_config, resolved_json
from hpctrain.config.method import HelocoConfig, MethodConfig
from hpctrain.config.models import (
    CheckpointConfig,
    EvaluateConfig,
    PaceConfig,
    ProgressConfig,
    RunConfig,
    RuntimeConfig,
    SimulateConfig,
    StopConfig,
    TaskConfig,
    TopologyConfig,
)
from hpctrain.config.search import (
    FidelityConfig,
    MigrationConfig,
    SearchConfig,
    SearchStopConfig,
)
from hpctrain.config.world import check_against_world, num_islands, simulated_workers

__all__ = [
    "CheckpointConfig",
    "EvaluateConfig",
    "FidelityConfig",
    "HelocoConfig",
    "MethodConfig",
    "MigrationConfig",
    "PaceConfig",
    "ProgressConfig",
    "RunConfig",
    "RuntimeConfig",
    "SearchConfig",
    "SearchStopConfig",
    "SimulateConfig",
    "StopConfig",
    "TaskConfig",
    "TopologyConfig",
    "build_config",
    "check_against_world",
    "config_from_keywords",
    "load_config",
    "num_islands",
    "resolved_json",
    "simulated_workers",
]
